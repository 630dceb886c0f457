"""The custom Trainer module: TFX's Trainer calls `run_fn` for both the candidate and the baseline."""

import logging
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.python.util import _pywrap_util_port  # TensorFlow exposes only here whether oneDNN is on.
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.trainer.fn_args_utils import FnArgs

from restem.fingerprint import file_fingerprint
from restem.images.config import ImageConfig
from restem.processor import describe_processor
from restem.run_record import (
    STEM,
    Kept,
    ModelInput,
    ModelRecord,
    write_evaluation,
    write_history,
    write_json,
    write_model,
)
from restem.stem import TransferReport
from restem.trainer.agreement import agree_on_weights, on_the_chief, shared
from restem.trainer.checkpoint import Checkpoints, checkpoints_of_this_run
from restem.trainer.config import ModelConfig, StemConfig, TrainConfig, refuse_choices_without_validation
from restem.trainer.distribution import ONE, Distribution, find_distribution
from restem.trainer.evaluation import evaluate
from restem.trainer.export import export
from restem.trainer.input import Split, read_split
from restem.trainer.network import Network, build_network, needs_statistics
from restem.trainer.phases import predict, set_seed, train_head, train_network
from restem.trainer.pretrain import checkpoint_path
from restem.trainer.scores import score
from restem.trainer.training import Training

log = logging.getLogger("restem")

SAMPLE_IMAGES = 64
SCORED_IMAGES = 2000  # of the training images


def run_fn(fn_args: FnArgs) -> None:
    """Builds, trains, evaluates and exports one network.

    Args:
      fn_args: from TFX. Its `custom_config` has `role` ("candidate" or "baseline"), the sections `image`, `model`,
        `stem` and `train` as dicts, and `config`, the complete resolved configuration, which is saved with the model.
        `base_model` is the folder of the Pretrain step's checkpoint, if that step ran.

    Raises:
      StemError: if the source's weights cannot be loaded.
      RestemError: if the configuration does not fit the data.
    """
    custom = fn_args.custom_config
    role = custom["role"]
    image = ImageConfig.model_validate(custom["image"])
    model = ModelConfig.model_validate(custom["model"])
    stem = StemConfig.model_validate(custom["stem"])
    config = TrainConfig.model_validate(custom["train"])

    distribution = find_distribution()
    distribution.check(config.batch_size)
    set_seed(config.seed, deterministic=config.deterministic)
    classes = read_classes(fn_args.schema_path)
    weighted = has_weights(fn_args.schema_path)
    train = read_split(fn_args.train_files, image, weighted=weighted)
    test = read_split(fn_args.eval_files, image, weighted=weighted)
    validation = read_split(validation_files(fn_args), image)
    val = validation if validation.count else None
    if val is None:
        refuse_choices_without_validation(config)

    network = build_network(
        role,
        image,
        model,
        stem,
        weights=checkpoint_path(fn_args.base_model) if fn_args.base_model else model.weights,
        classes=len(classes),
        statistics=train.channel_statistics() if needs_statistics(role, image, stem) else None,
        sample=train.sample(SAMPLE_IMAGES, config.seed),
    )
    log.info("%s", network.report.to_text().splitlines()[0])
    training = train_phases(
        network,
        train,
        val,
        config,
        find_checkpoints(fn_args),
        white=float(image.white),
        pretrained=model.weights != "none",
        distribution=distribution,
    )

    run_folder = Path(fn_args.model_run_dir)
    scores = {
        name: score(part.labels, predict(network.model, part, config.batch_size))
        for name, part in (("train", train.first(SCORED_IMAGES)), ("val", val))
        if part is not None
    }
    evaluation = evaluate(network.model, test, classes, config.batch_size)
    log.info("Accuracy of the %s on %d test images: %.4f", role, test.count, evaluation.accuracy)
    record = ModelRecord(
        role=role,
        backbone=model.backbone,
        weights=model.weights,
        input=ModelInput(
            height=image.height,
            width=image.width,
            channels=image.count,
            file_channels=image.count if image.bands is None else len(image.bands),
            names=image.names,
        ),
        parameters=network.model.count_params(),
        train_images=train.count,
        seed=config.seed,
        kept=None if training.best is None else Kept(training.best.phase, training.best.epoch, config.metric),
        scores={**scores, "test": score(evaluation.labels, evaluation.probabilities)},
        processor=describe_processor(onednn=_pywrap_util_port.IsMklEnabled()),
        config=custom["config"],
    )
    write_model(run_folder, record)
    write_history(run_folder, training.history)
    write_evaluation(run_folder, evaluation)
    write_stem(run_folder, network.report)
    export(network.model, image, classes, fn_args.serving_model_dir, record, network.report.to_dict())
    # Frees the memory for the next network in this process.
    keras.backend.clear_session()


def read_schema(path: str) -> schema_pb2.Schema:
    """Reads the schema that ImageExampleGen completed."""
    return text_format.Parse(tf.io.gfile.GFile(path).read(), schema_pb2.Schema())


def read_classes(schema_path: str) -> list[str]:
    """The class names in label order: the string domain of `label` in the schema."""
    label = next(feature for feature in read_schema(schema_path).feature if feature.name == "label")
    return list(label.string_domain.value)


def has_weights(schema_path: str) -> bool:
    """Whether the examples have a feature `weight`."""
    return any(feature.name == "weight" for feature in read_schema(schema_path).feature)


def validation_files(fn_args: FnArgs) -> list[str]:
    """The patterns of the split `val`, which TFX's Trainer does not pass: its folder is next to that of `train`."""
    return [pattern.replace("/Split-train/", "/Split-val/") for pattern in fn_args.train_files]


def find_checkpoints(fn_args: FnArgs) -> Checkpoints:
    """The checkpoints of this training: of the same settings, code, images and source weights."""
    settings = {name: value for name, value in fn_args.custom_config.items() if name != "config"}
    files = [*fn_args.train_files, *validation_files(fn_args), *fn_args.eval_files]
    if fn_args.base_model:
        source = checkpoint_path(fn_args.base_model)
        settings["source"] = file_fingerprint(source)
        files.append(source)
    return checkpoints_of_this_run(settings["role"], settings, files)


def train_phases(
    network: Network,
    train: Split,
    val: Split | None,
    config: TrainConfig,
    checkpoints: Checkpoints,
    *,
    white: float,
    pretrained: bool,
    distribution: Distribution = ONE,
) -> Training:
    """Runs the phases that have epochs, in order; the network then has the weights that are to be kept.

    With several workers each of them has these weights. The head is trained by the chief alone.

    Raises:
      SystemExit: another worker has ended; see `Distribution.together`.
    """
    with distribution.together():
        return _train_phases(network, train, val, config, checkpoints, distribution, white=white, pretrained=pretrained)


def _train_phases(
    network: Network,
    train: Split,
    val: Split | None,
    config: TrainConfig,
    checkpoints: Checkpoints,
    distribution: Distribution,
    *,
    white: float,
    pretrained: bool,
) -> Training:
    freeze = pretrained if config.freeze_batch_norm is None else config.freeze_batch_norm
    phases = [name for name in ("head", "stem", "all") if getattr(config, name).epochs]
    agree_on_weights(distribution, network.model)
    checkpoints = shared(checkpoints, distribution)
    training = Training(config, phases, checkpoints, labels=None if val is None else val.labels)
    if config.augment.on and phases == ["head"]:
        log.warning("train.augment has no effect: train.stem.epochs and train.all.epochs are 0")
    for name in phases:
        if training.is_over(name):
            continue
        if name == "head":
            log.info("head: computing the features of %d images once", train.count)
            head = partial(train_head, training, network, train, val, config)
            on_the_chief(distribution, training, network.model, head)
        else:
            phase = getattr(config, name)
            train_network(
                training,
                network,
                train,
                val,
                name,
                phase,
                config,
                white=white,
                freeze_batch_norm=freeze,
                distribution=distribution,
            )
    training.keep_the_best(network.model.variables)
    return training


def write_stem(folder: Path, report: TransferReport) -> None:
    """Writes the transfer report as JSON, text and picture."""
    write_json(folder, STEM, report.to_dict())
    (folder / "stem.txt").write_text(report.to_text(), encoding="utf-8")
    report.save_picture(folder / "stem.png")
