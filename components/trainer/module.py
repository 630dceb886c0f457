"""The custom Trainer module: TFX's Trainer calls `run_fn` for both the candidate and the baseline."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.python.util import _pywrap_util_port  # TensorFlow exposes only here whether oneDNN is on.
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.trainer.fn_args_utils import FnArgs

from restem.environment import lock_digest, packages_digest
from restem.fingerprint import file_fingerprint
from restem.images.config import ImageConfig
from restem.processor import describe_processor
from restem.record_files import write_json
from restem.run_record import (
    EXTRA,
    STEM,
    Environment,
    Epoch,
    Evaluation,
    Kept,
    ModelInput,
    ModelRecord,
    Scores,
    StartedFrom,
    write_evaluation,
    write_history,
    write_model,
)
from restem.stem import TransferReport
from restem.trainer.agreement import agree_on_weights, on_the_chief, shared
from restem.trainer.backbone import write_backbone
from restem.trainer.checkpoint import Checkpoints, checkpoints_of_this_run
from restem.trainer.closer import look_closer
from restem.trainer.config import PHASES, Precision, TrainConfig, refuse_choices_without_validation
from restem.trainer.continuation import continue_network, pushed_model
from restem.trainer.distribution import ONE, Distribution, find_distribution
from restem.trainer.evaluation import evaluate
from restem.trainer.export import export
from restem.trainer.input import Split, read_split
from restem.trainer.made_of import made_of
from restem.trainer.memory import memory_errors_explained
from restem.trainer.model_config import ModelConfig, Role, StemConfig
from restem.trainer.network import Network, build_network, needs_statistics
from restem.trainer.observer import Observer
from restem.trainer.phases import set_seed, train_head, train_network
from restem.trainer.precision import choose_precision
from restem.trainer.pretrain import checkpoint_path
from restem.trainer.repeats import repeat_training
from restem.trainer.scores import score
from restem.trainer.scratch import Scratch
from restem.trainer.source import source_record
from restem.trainer.temperature import KEY, asked, fit_temperature, logits_of, softmax
from restem.trainer.training import Training
from restem.trainer.tuned import with_tuned_values

log = logging.getLogger("restem")

SAMPLE_IMAGES = 64
SCORED_IMAGES = 2000  # of the training images


@dataclass(frozen=True)
class Setup:
    """The sections that decide a trained network, and where its initial weights come from.

    Attributes:
      weights: `imagenet`, `none` or a checkpoint's path.
    """

    role: Role
    image: ImageConfig
    model: ModelConfig
    stem: StemConfig
    train: TrainConfig
    weights: str

    @classmethod
    def of(cls, fn_args: FnArgs) -> "Setup":
        """That of TFX's arguments; see `run_fn`."""
        custom = fn_args.custom_config
        model = ModelConfig.model_validate(custom["model"])
        return cls(
            role=custom["role"],
            image=ImageConfig.model_validate(custom["image"]),
            model=model,
            stem=StemConfig.model_validate(custom["stem"]),
            train=TrainConfig.model_validate(custom["train"]),
            weights=checkpoint_path(fn_args.base_model) if fn_args.base_model else model.source_weights,
        )


def run_fn(fn_args: FnArgs) -> None:
    """Builds, trains, evaluates and exports one network.

    Args:
      fn_args: from TFX. Its `custom_config` has `role` ("candidate" or "baseline"), the sections `image`, `model`,
        `stem` and `train` as dicts, and `config`, the complete resolved configuration, which is saved with the model.
        `base_model` is the folder of the Pretrain step's checkpoint, if that step ran. `start` in `custom_config`, a
        restem.start.choice.Start as a dict, names the pushed model to go on from, if there is one. `hyperparameters`
        has the Tuner's values, if that step ran; they replace those of the sections. `calibrate` in `custom_config`:
        see temperature.py.

    Raises:
      StemError: if the source's weights cannot be loaded.
      RestemError: if the configuration does not fit the data.
    """
    distribution = find_distribution()
    # Workers that read the images in different orders would train on some twice and on others never.
    with Scratch(fn_args.model_run_dir, required=distribution.workers > 1) as scratch:
        _run(fn_args, distribution, scratch)


def _run(fn_args: FnArgs, distribution: Distribution, scratch: Scratch) -> None:
    given = fn_args.custom_config
    custom = fn_args.custom_config = with_tuned_values(fn_args.custom_config, fn_args.hyperparameters)
    setup = Setup.of(fn_args)
    role, image, model, config = setup.role, setup.image, setup.model, setup.train

    distribution.check(config.batch_size)
    config = config.model_copy(update={"precision": choose_precision(config.precision, distribution.replicas)})
    classes = read_classes(fn_args.schema_path)
    weighted = has_weights(fn_args.schema_path)
    train = read_split(fn_args.train_files, image, weighted=weighted, scratch=scratch, name="training images")
    test = read_split(fn_args.eval_files, image, weighted=weighted)
    validation = read_split(validation_files(fn_args), image, scratch=scratch, name="validation images")
    val = validation if validation.count else None
    if val is None:
        refuse_choices_without_validation(config, *(["evaluate.calibrate: temperature"] if asked(custom) else []))

    pushed = pushed_model(custom, classes)

    def fit(config: TrainConfig, observer: Observer | None = None) -> tuple[Network, Training]:
        """Builds the network and trains it with the seed of `config`."""
        set_seed(config.seed, deterministic=config.deterministic)
        return build_and_train(
            replace(setup, train=config),
            classes,
            train,
            val,
            find_checkpoints(fn_args, config.seed, config.precision).in_order(train.ordered),
            pushed=pushed,
            observer=observer,
            distribution=distribution,
        )

    def judge(network: Network) -> tuple[dict[str, Scores], Evaluation, float | None]:
        """The scores by split, the predictions on the test images, and the temperature of both."""
        parts = {"train": train.first(SCORED_IMAGES), **({} if val is None else {"val": val})}
        logits = {name: logits_of(network.model, part, config.batch_size) for name, part in parts.items()}
        temperature = fit_temperature(logits["val"], parts["val"].labels) if "val" in parts and asked(custom) else None
        scores = {name: score(part.labels, softmax(logits[name], temperature)) for name, part in parts.items()}
        evaluation = evaluate(network.model, test, classes, config.batch_size, temperature)
        return {**scores, "test": score(evaluation.labels, evaluation.probabilities)}, evaluation, temperature

    observer = Observer(fn_args.model_run_dir if distribution.is_chief else None)
    network, training = fit(config, observer)
    cost = observer.finish(network, training.history)
    run_folder = Path(fn_args.model_run_dir)
    scores, evaluation, temperature = judge(network)
    log.info("Accuracy of the %s on %d test images: %.4f", role, test.count, evaluation.accuracy)
    record = ModelRecord(
        role=role,
        backbone=model.backbone,
        weights=model.source_weights if pushed is None else pushed.path,
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
        scores=scores,
        processor=describe_processor(onednn=_pywrap_util_port.IsMklEnabled()),
        precision=config.precision,
        cost=cost,
        config=custom["config"],
        started_from=pushed,
        made_of=made_of(given, input_files(fn_args)) if role == "candidate" else None,
        code=given.get("code"),
        environment=Environment(lock_digest(), packages_digest()),
        temperature=temperature,
        ordered=train.ordered,
        source=source_record(network.report.to_dict(), network.plausibility, stock=network.stock_source),
    )
    write_model(run_folder, record)
    write_history(run_folder, training.history)
    write_evaluation(run_folder, evaluation)
    if role == "candidate":
        look_closer(run_folder, network, train, test, evaluation, image, config.batch_size)
    write_stem(run_folder, network.report)
    export(network.model, image, classes, fn_args.serving_model_dir, record, network.report.to_dict())
    if role == "candidate":
        write_backbone(Path(fn_args.serving_model_dir) / EXTRA, network, image.white)
    if config.repeats > 1:
        history = training.history
        del network, training
        keras.backend.clear_session()  # frees the memory for the next network
        record = replace(
            record, repeats=repeat_training(config, scores, history, fit, lambda network: judge(network)[0])
        )
        write_model(run_folder, record)
        write_model(Path(fn_args.serving_model_dir) / EXTRA, record)
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


def input_files(fn_args: FnArgs) -> list[str]:
    """The patterns of all files with examples."""
    return [*fn_args.train_files, *validation_files(fn_args), *fn_args.eval_files]


def find_checkpoints(fn_args: FnArgs, seed: int, precision: Precision) -> Checkpoints:
    """The checkpoints of the training with this seed: of the same settings, code, images and source weights.

    Args:
      fn_args: from TFX.
      seed: of this training.
      precision: what `train.precision: auto` is on this machine.
    """
    # The temperature is fitted after the training.
    settings = {name: value for name, value in fn_args.custom_config.items() if name not in ("config", KEY)}
    # How many more seeds there are decides nothing about one of them.
    train = {name: value for name, value in settings["train"].items() if name != "repeats"}
    settings["train"] = {**train, "seed": seed, "precision": precision}
    files = input_files(fn_args)
    if fn_args.base_model:
        source = checkpoint_path(fn_args.base_model)
        settings["source"] = file_fingerprint(source)
        files.append(source)
    # A name for each seed: otherwise the checkpoints of one would count as outdated ones of another.
    return checkpoints_of_this_run(f"{settings['role']}.{seed}", settings, files)


def build_and_train(
    setup: Setup,
    classes: Sequence[str],
    train: Split,
    val: Split | None,
    checkpoints: Checkpoints,
    *,
    pushed: StartedFrom | None = None,
    observer: Observer | None = None,
    distribution: Distribution = ONE,
) -> tuple[Network, Training]:
    """Builds one network and trains it. After `set_seed`, the same images and settings give the same weights.

    Args:
      setup: its train.seed decides the order of the images; its train.precision is not `auto`.
      classes: the class names in label order.
      train, val: the images.
      checkpoints: of this training.
      pushed: the model to go on from, in place of the source's weights.
      observer: of the network and its epochs.
      distribution: the devices that train.

    Raises:
      StemError: if the source's weights cannot be loaded.
      Diverged: the loss is not finite.
      RestemError: if the configuration does not fit the data.
    """
    role, image, config = setup.role, setup.image, setup.train
    sample = train.sample(SAMPLE_IMAGES, config.seed)
    if pushed is not None:
        network = continue_network(pushed.path, image, setup.stem, classes=classes, sample=sample)
    else:
        network = build_network(
            role,
            image,
            setup.model,
            setup.stem,
            weights=setup.weights,
            classes=len(classes),
            statistics=train.channel_statistics() if needs_statistics(role, image, setup.stem) else None,
            sample=sample,
        )
    log.info("%s", network.report.to_text().splitlines()[0])
    if observer:
        observer.start(network)
    training = train_phases(
        network,
        train,
        val,
        config,
        checkpoints,
        white=float(image.white),
        pretrained=network.continued or setup.model.source_weights != "none",
        distribution=distribution,
        on_epoch=observer.epoch if observer else lambda epoch: None,
    )
    return network, training


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
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Training:
    """Runs the phases that have epochs, in order; the network then has the weights that are to be kept.

    With several workers each of them has these weights. The head is trained by the chief alone. `on_epoch`: see
    `Training`.

    Raises:
      RestemError: there is too little memory.
      SystemExit: another worker has ended; see `Distribution.together`.
    """
    with distribution.together():
        checkpoints = shared(checkpoints, distribution)
        agree_on_weights(distribution, network.model)
        labels = None if val is None else val.labels
        training = Training(config, phases_of(config), checkpoints, labels=labels, on_epoch=on_epoch)
        freeze = pretrained if config.freeze_batch_norm is None else config.freeze_batch_norm
        _run_phases(training, network, train, val, config, distribution, white=white, freeze_batch_norm=freeze)
    training.keep_the_best(network.model.variables)
    return training


def phases_of(config: TrainConfig) -> list[str]:
    """The phases that have epochs, in order."""
    return [name for name in PHASES if getattr(config, name).epochs]


def _run_phases(
    training: Training,
    network: Network,
    train: Split,
    val: Split | None,
    config: TrainConfig,
    distribution: Distribution,
    *,
    white: float,
    freeze_batch_norm: bool,
) -> None:
    phases = phases_of(config)
    if config.augment.on and phases == ["head"]:
        log.warning("train.augment has no effect: train.stem.epochs and train.all.epochs are 0")
    for name in phases:
        if training.is_over(name):
            continue
        with memory_errors_explained(name, config.batch_size, network.model.input_shape[1:]):
            if name == "head":
                log.info("head: computing the features of %d images once", train.count)
                head = partial(train_head, training, network, train, val, config)
                on_the_chief(distribution, training, network.model, head)
            else:
                train_network(
                    training,
                    network,
                    train,
                    val,
                    name,
                    getattr(config, name),
                    config,
                    white=white,
                    freeze_batch_norm=freeze_batch_norm,
                    distribution=distribution,
                )


def write_stem(folder: Path, report: TransferReport) -> None:
    """Writes the transfer report as JSON, text and picture."""
    write_json(folder, STEM, report.to_dict())
    (folder / "stem.txt").write_text(report.to_text(), encoding="utf-8")
    report.save_picture(folder / "stem.png")
