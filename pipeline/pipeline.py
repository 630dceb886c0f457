"""The pipeline; from top to bottom it follows the diagram in the README."""

import os
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.orchestration.pipeline import Pipeline

from restem.baseline.component import Baseline
from restem.evaluator.component import Evaluator
from restem.example_gen.component import ImageExampleGen
from restem.example_gen.validator import example_validator, statistics_gen
from restem.pipeline.config import Config, push_destination
from restem.pusher.component import Pusher
from restem.report.component import Report
from restem.start.component import candidate_trainer
from restem.trainer.component import pretrain_step
from restem.trainer.model_config import StemConfig
from restem.transform.component import transform
from restem.tuner.config import check_installed


def create_pipeline(config: Config, *, root: str, prunes: bool = False) -> Pipeline:
    """Wires the steps. It reads no environment variables, and no user file except the checkpoint, to fingerprint it.

    Args:
      config: the resolved configuration; `data.path` is a folder.
      root: the folder for all output of the runs: artifacts, metadata, and the released models unless
        `push.destination` is set.
      prunes: whether the Pusher removes old versions (retention.versions): where no command does it after the run.
    """
    # The values that determine the trained networks. Thresholds, destinations and runners do not: changing them does
    # not train again.
    record = config.model_dump(
        mode="json",
        include={"name", "data", "image", "model", "stem", "train", "pretrain"},
        exclude={"train": {"checkpoint", "workers"}},
    )
    sections = {name: record[name] for name in ("image", "model", "stem", "train")}
    # Not for the Tuner: it compares networks without a temperature.
    calibration = config.evaluate.for_training
    if calibration:
        record["evaluate"] = calibration
    stock = {**sections, "stem": StemConfig().model_dump(mode="json")}

    example_gen, source = _source_steps(config)
    statistics = statistics_gen(example_gen.outputs["examples"])
    validator = example_validator(statistics.outputs["statistics"], example_gen.outputs["schema"])

    transformed = transform(example_gen.outputs["examples"], example_gen.outputs["schema"], config.image)
    for step in (transformed, *source):
        step.add_upstream_node(validator)  # Anomalies stop the run before any computation on the data.
    # With store: none, the training steps preprocess the raw examples themselves, with the same function.
    preprocessed = config.image.store != "none"
    training = {
        "examples": transformed.outputs["transformed_examples"] if preprocessed else example_gen.outputs["examples"],
        "transform_graph": transformed.outputs["transform_graph"],
        "schema": example_gen.outputs["schema"],
        "base_model": source[-1].outputs["model"] if source else None,
    }
    tuning = _tuning_step(config, training, sections)
    hyperparameters = tuning[0].outputs["best_hyperparameters"] if tuning else None
    candidate = candidate_trainer(
        **training,
        raw_examples=example_gen.outputs["examples"],
        destination=push_destination(config, root),
        verify_key=config.push.verify_key,
        sections={**sections, **calibration},
        config=record,
        hyperparameters=hyperparameters,
    )
    baseline = Baseline(
        **training,
        raw_examples=example_gen.outputs["examples"],
        baseline=config.evaluate.baseline,
        destination=push_destination(config, root),
        verify_key=config.push.verify_key,
        allow_class_changes=config.allow_class_changes,
        sections={**stock, **calibration},
        config={**record, "stem": stock["stem"]},
        hyperparameters=hyperparameters,
    )

    verdict = Evaluator(
        example_gen.outputs["examples"],
        candidate.outputs["model"],
        baseline.outputs["model"],
        config.evaluate,
    )
    report = Report(
        candidate_run=candidate.outputs["model_run"],
        baseline_run=baseline.outputs["model_run"],
        evaluation=verdict.outputs["evaluation"],
        blessing=verdict.outputs["blessing"],
        quarantine=example_gen.outputs["quarantine"],
        examples=example_gen.outputs["examples"],
        title=config.name,
        destination=push_destination(config, root),
        tuning=tuning[0].outputs["tuner_results"] if tuning else None,
        track=config.track,
    )
    pusher = Pusher(
        model=candidate.outputs["model"],
        model_blessing=verdict.outputs["blessing"],
        release=report.outputs["release"],
        destination=push_destination(config, root),
        name=config.name,
        storage_uri=config.push.storage_uri,
        allow_class_changes=config.allow_class_changes,
        keep=config.retention.versions if prunes else None,
        named=config.named_models,
        sign_key=config.push.sign_key,
    )
    steps = [
        example_gen,
        statistics,
        validator,
        transformed,
        *source,
        *tuning,
        candidate,
        baseline,
        verdict,
        report,
        pusher,
    ]
    return _pipeline(config, root, steps)


def create_pretrain_pipeline(config: Config, *, root: str) -> Pipeline:
    """The steps of `restem pretrain`: from images to the checkpoint of a stock RGB network (the Pretrain step)."""
    example_gen, source = _source_steps(config, always=True)
    steps = [step for step in (example_gen, *source) if config.pretrain.path is None or step is not example_gen]
    return _pipeline(config, root, steps)


def _source_steps(config: Config, *, always: bool = False) -> tuple[ImageExampleGen, list[BaseComponent]]:
    """The ingestion of the user's images, and the steps that train the source checkpoint if it has to be trained.

    The images of the source task are the user's own training split, or those of `pretrain.path`.
    """
    example_gen = ImageExampleGen(config.data, config.image)
    if not always and config.model.weights != "pretrain":
        return example_gen, []
    steps = []
    images = example_gen
    if config.pretrain.path is not None:
        images = ImageExampleGen(config.data.elsewhere(config.pretrain.path)).with_id("SourceExampleGen")
        steps.append(images)
    steps.append(
        pretrain_step(
            images.outputs["examples"],
            images.outputs["schema"],
            image=config.image,
            own_images=config.pretrain.path is None,
            model=config.model,
            train=config.train,
            pretrain=config.pretrain,
        )
    )
    return example_gen, steps


def _tuning_step(config: Config, training: dict[str, Any], sections: dict[str, Any]) -> list[BaseComponent]:
    """The step that tries values of the keys in `tune.over`, with the Trainer's inputs; none without that section."""
    if config.tune is None:
        return []
    check_installed()
    # Imported here because it needs KerasTuner.
    from restem.tuner.component import tuner

    return [tuner(**training, sections=sections, tune=config.tune.model_dump(mode="json"))]


def _pipeline(config: Config, root: str, steps: list[BaseComponent]) -> Pipeline:
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=os.path.join(root, "pipeline"),
        components=steps,
        enable_cache=True,
        metadata_connection_config=_metadata(os.path.join(root, "metadata.sqlite")),
        beam_pipeline_args=list(config.beam.pipeline_args()),
    )


def _metadata(path: str) -> metadata_store_pb2.ConnectionConfig:
    """SQLite in a file. TFX's function for this also creates the folder, but that may be on another machine."""
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = path
    connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return connection
