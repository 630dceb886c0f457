"""The training steps: Pretrain (optional), the candidate's Trainer, and the parameters it shares with the Baseline."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfx import types
from tfx.components import Trainer
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.proto import trainer_pb2
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import Examples, Model, ModelRun, Schema
from tfx.utils import io_utils, path_utils

from restem.fingerprint import code_fingerprint, file_fingerprint
from restem.images.config import ImageConfig
from restem.trainer.config import PretrainConfig, TrainConfig
from restem.trainer.model_config import ModelConfig, Role


def trainer(
    examples: types.BaseChannel,
    transform_graph: types.BaseChannel,
    schema: types.BaseChannel,
    *,
    role: Role,
    sections: dict[str, Any],
    config: dict[str, Any],
    base_model: types.BaseChannel | None = None,
    hyperparameters: types.BaseChannel | None = None,
) -> Trainer:
    """TFX's Trainer with this project's `run_fn`.

    Args:
      examples: transformed examples with the splits `train` and `test`.
      transform_graph: the output of Transform.
      schema: the schema with the class names.
      role: `candidate` or `baseline`.
      sections: the sections `image`, `model`, `stem` and `train`, as dicts, and `calibrate` (see temperature.py) if it
        is not `none`; a change in them triggers a new training.
      config: the complete resolved configuration, for the record.
      base_model: the Pretrain step's checkpoint.
      hyperparameters: the Tuner's values.
    """
    return Trainer(
        examples=examples,
        transform_graph=transform_graph,
        schema=schema,
        base_model=base_model,
        hyperparameters=hyperparameters,
        **training_parameters(role, sections, config),
    )


def training_parameters(role: Role, sections: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Trainer parameters for this project's `run_fn`: `run_fn`, `train_args`, `eval_args`, `custom_config`."""
    return {
        "run_fn": "restem.trainer.module.run_fn",
        "train_args": trainer_pb2.TrainArgs(splits=["train"]),
        "eval_args": trainer_pb2.EvalArgs(splits=["test"]),
        "custom_config": {
            "role": role,
            **sections,
            "config": config,
            "checkpoint": file_fingerprint(ModelConfig.model_validate(sections["model"]).source_weights),
            "code": code_fingerprint("trainer.module"),
        },
    }


@component
def Pretrain(
    examples: InputArtifact[Examples],
    schema: InputArtifact[Schema],
    model: OutputArtifact[Model],
    model_run: OutputArtifact[ModelRun],
    task: Parameter[str],
    code: Parameter[str],
) -> None:
    """Trains the source checkpoint on the raw examples' split `train`; `task` is a SourceTask as JSON."""
    # Imported here because they load Keras, which compiling a pipeline does not need.
    from restem.run_record import write_history
    from restem.trainer.checkpoint import checkpoints_of_this_run
    from restem.trainer.distribution import find_distribution
    from restem.trainer.events import Events
    from restem.trainer.module import has_weights, read_classes
    from restem.trainer.phases import set_seed
    from restem.trainer.precision import choose_precision
    from restem.trainer.pretrain import SourceTask, checkpoint_path, pretrain

    source = SourceTask(**json.loads(task))
    distribution = find_distribution()
    distribution.check(source.batch_size)
    source = replace(source, precision=choose_precision(source.precision, distribution.replicas))
    set_seed(source.seed, deterministic=source.deterministic)
    split = artifact_utils.get_split_uri([examples], "train")
    schema_file = io_utils.get_only_uri_in_dir(schema.uri)
    folder = path_utils.serving_model_dir(model.uri)
    fileio.makedirs(folder)
    files = fileio.glob(io_utils.all_files_pattern(split))
    checkpoints = checkpoints_of_this_run("pretrain", [task, code, source.precision], files)
    events = Events(model_run.uri if distribution.is_chief else None)
    history = pretrain(
        files,
        len(read_classes(schema_file)),
        source,
        Path(checkpoint_path(folder)),
        checkpoints,
        weighted=has_weights(schema_file),
        on_epoch=events.epoch,
        distribution=distribution,
    )
    events.close()
    write_history(model_run.uri, history)


def pretrain_step(
    examples: types.BaseChannel,
    schema: types.BaseChannel,
    *,
    image: ImageConfig,
    own_images: bool,
    model: ModelConfig,
    train: TrainConfig,
    pretrain: PretrainConfig,
) -> Any:
    """The Pretrain step; values that the section `pretrain` leaves open come from the other sections.

    Args:
      examples: raw examples; only their split `train` is read.
      schema: the schema with the class names.
      image: the section; its height, but at least 32, is the default of `pretrain.size`.
      own_images: whether the examples come from the data that the section `image` describes, including its bands.
      model: the backbone.
      train: batch size, seed, precision, and the default of `pretrain.epochs`.
      pretrain: the section.
    """
    size = pretrain.size or max(image.height, 32)
    task = {
        "backbone": model.backbone,
        "size": size,
        "image": image.as_source(size).model_dump(mode="json") if own_images else None,
        "epochs": pretrain.epochs or max(train.all.epochs, 1),
        "learning_rate": pretrain.learning_rate,
        "batch_size": train.batch_size,
        "colourise": pretrain.colourise,
        "seed": train.seed,
        "deterministic": train.deterministic,
        "precision": train.precision,
    }
    return Pretrain(
        examples=examples,
        schema=schema,
        task=json.dumps(task, sort_keys=True),
        code=code_fingerprint("trainer.component"),
    ).with_id("Pretrain")
