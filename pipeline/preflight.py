"""Checks that run before TensorFlow and TFX are loaded: missing folders, empty classes, unusable files."""

import json
import os
from pathlib import Path
from typing import Any

from restem.baseline.choice import reasons, unusable
from restem.errors import RestemError
from restem.evaluator.config import LATEST_APPROVED, STOCK
from restem.example_gen.classes import ClassChange, refuse_missing
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import VAL, Listing, first_few
from restem.files import file_sizes
from restem.notify.send import check as check_notify
from restem.pipeline import imagenet
from restem.pipeline.config import KEYWORDS, Config, push_destination, with_values
from restem.pusher.classes import class_change
from restem.pusher.versions import missing, newest, newest_version
from restem.start.check import check_classes, check_same_network
from restem.start.check import unusable as unusable_start
from restem.start.choice import no_model
from restem.track.config import check_installed as check_tracker
from restem.trainer.config import refuse_choices_without_validation
from restem.trainer.model_config import CHECKPOINT_SUFFIXES
from restem.tuner.config import check_installed

EMBEDDED_PREFIX = "embedded:"
PATTERN = frozenset("*?[]\\")  # what the file systems of TensorFlow and Beam match as a pattern
BUCKETS = ("gs://",)  # the remote storage that TensorFlow reads without more packages


def preflight(config: Config, *, pretrain: bool = False, root: Path | None = None) -> None:
    """Checks the files and folders in the configuration; reads only names and first bytes.

    Args:
        config: as `load_config` returned it.
        pretrain: the source network is trained, even if model.weights is not `pretrain`.
        root: the run's folder, which holds the approved models unless push.destination names another folder.

    Raises:
        RestemError: with the key, what was expected, what was given and the remedy.
    """
    if root is not None:
        check_plain("--root", str(root))
    _check_runner(config)
    _check_workers(config)
    if not pretrain:
        check_notify(config.notify)
        check_tracker(config.track)
    if config.tune is not None:
        check_installed()
    check_stem(config)
    classes = check_images(config)
    if config.pretrain.path is not None and (pretrain or config.model.weights == "pretrain"):
        _check_images(config.data.elsewhere(config.pretrain.path), "pretrain")
    if pretrain:
        return
    if not config.model.continues or check_start(config, classes, root):
        key = check_checkpoint(config)
        if config.model.source_weights == "imagenet":
            _check_imagenet(config.model.backbone, key)
    check_released_classes(config, classes, root)
    check_comparison(config)
    check_requirements(config, classes)
    check_release(config)


def check_released_classes(config: Config, classes: tuple[str, ...], root: Path | None) -> ClassChange | None:
    """Rejects data without images of a class of the newest approved model; returns another change of the classes.

    The steps check the content of buckets.

    Args:
        config: the configuration.
        classes: of the data; empty if they are not known before the run.
        root: as for `preflight`.
    """
    approved = _approved(config, root)
    if not classes or approved is None or "://" in approved:
        return None
    change = class_change(approved, classes)
    refuse_missing(change, where=f"data.path ({config.data.path})", allowed=config.allow_class_changes)
    return change


def _approved(config: Config, root: Path | None) -> str | None:
    """The folder of approved versions; None: it is not known without the run's folder."""
    return config.push.destination or (None if root is None else push_destination(config, str(root)))


def check_start(config: Config, classes: tuple[str, ...], root: Path | None) -> bool:
    """The part of `preflight` for a training that goes on from a pushed model.

    The steps check the content of buckets.

    Args:
        config: its model.weights is latest_approved or a folder.
        classes: of the data; empty if they are not known before the run.
        root: as for `preflight`.

    Returns:
        Whether a network will start with model.first_weights: the candidate, because nothing is approved yet, or a
        stock baseline, because no approved model has the data's classes.
    """
    model = config.model
    _refuse_presets(model.weights)
    check_storage("model.weights", model.weights)
    check_plain("model.weights", model.weights)
    approved = _approved(config, root)
    found = None
    if model.weights == LATEST_APPROVED:
        found = None if approved is None or "://" in approved else newest_version(approved, _unusable_start)[0]
    elif "://" not in model.weights:
        found, skipped = newest(model.weights, _unusable_start)
        if found is None:
            _refuse_other_formats(Path(model.weights))
            raise no_model(model.weights, skipped)
    same = True
    if found is not None:
        check_same_network(found, file_sizes(found), model, config.image, config.stem)
        same = not classes or check_classes(found, classes, drop=model.drop_classes)
    if config.evaluate.baseline != LATEST_APPROVED or (approved is not None and "://" in approved):
        return False
    return not same or approved is None or newest_version(approved, _unusable_start)[0] is None


def check_comparison(config: Config) -> None:
    """Rejects a comparison of a model that has been trained further with a stock network."""
    if not config.model.continues or config.evaluate.baseline != STOCK:
        return
    raise RestemError(
        f"with model.weights: {config.model.weights} the candidate has the training of all models before it, and a "
        "stock network has only this run's: the comparison would say nothing",
        where="evaluate.baseline",
        expected="latest_approved, or the folder of a pushed model",
        given=STOCK,
        remedy="Set evaluate.baseline: latest_approved; while nothing is approved, that is the stock network",
    )


def check_requirements(config: Config, classes: tuple[str, ...]) -> None:
    """Rejects a requirement on a class that the data do not have; empty classes: they are not known before the run."""
    for number, requirement in enumerate(config.evaluate.requirements):
        if classes and requirement.in_class is not None and requirement.in_class not in classes:
            raise RestemError(
                "there is no such class",
                where=f"evaluate.require[{number}].in_class",
                expected=first_few(classes),
                given=requirement.in_class,
            )


def _unusable_start(folder: str) -> str | None:
    return unusable_start(folder, file_sizes(folder))


def _check_runner(config: Config) -> None:
    """Rejects a runner whose workers cannot read the files of a run on this machine."""
    if config.beam.runner == "dataflow":
        raise RestemError(
            "Dataflow's workers can read only buckets, and a run on this machine writes its files into a folder",
            where="beam.runner",
            given="dataflow",
            expected="direct, prism, flink or spark",
            remedy="Run it on Kubeflow: restem kubeflow run, with kubeflow.pipeline_root: gs://...",
        )


def _check_workers(config: Config) -> None:
    """A run on this machine has one worker."""
    from restem.trainer.variables import TF_CONFIG, named_workers

    asked = {"train.workers": config.train.workers, TF_CONFIG: named_workers(os.environ.get(TF_CONFIG, ""))[0]}
    for where, workers in asked.items():
        if workers > 1:
            raise RestemError(
                "a run on this machine has one worker, which uses all its GPUs",
                where=where,
                expected="1",
                given=str(workers),
                remedy=f"Leave {where} out; to train on several machines: restem kubeflow run",
            )


def check_release(config: Config) -> None:
    """The part of `preflight` for evaluate.baseline and push.destination."""
    baseline, destination = config.evaluate.baseline, config.push.destination
    # The steps check the content of buckets.
    if baseline not in KEYWORDS["evaluate", "baseline"] and "://" not in baseline:
        _check_baseline(Path(baseline))
    for key, path in (("evaluate.baseline", baseline), ("push.destination", destination)):
        if path is not None:
            check_storage(key, path)
            check_plain(key, path)
    if destination is not None and "://" not in destination:
        _check_destination(Path(destination))


def check_plain(key: str, path: str) -> None:
    """Rejects a folder whose path TFX, Beam and TensorFlow would take for a pattern of several paths.

    Raises:
        RestemError: with the character and the remedy.
    """
    found = sorted(set(path) & PATTERN)
    if found:
        raise RestemError(
            "TensorFlow takes this path for a pattern and would not find what is written there",
            where=key,
            expected=f"a path without {' '.join(sorted(PATTERN))}",
            given=path,
            remedy=f"Rename the folder, or choose another one without {' '.join(found)}",
        )


def check_storage(key: str, path: str) -> None:
    """Rejects remote storage that TensorFlow cannot reach; a path without a scheme is not remote.

    Raises:
        RestemError: with the key and the remedy.
    """
    if "://" not in path or path.startswith(BUCKETS):
        return
    raise RestemError(
        "TensorFlow cannot reach this storage",
        where=key,
        expected=f"a folder, or {' or '.join(BUCKETS)}",
        given=path,
        remedy="Mount it as a folder",
    )


def check_images(config: Config) -> tuple[str, ...]:
    """The part of `preflight` for data.path: enough to read the images. Returns the classes, if they are known."""
    listing = _check_images(config.data, "data")
    if listing is None:
        return ()
    if VAL not in listing.splits:
        others = [f"evaluate.{key}: {value}" for key, value in config.evaluate.for_training.items()]
        refuse_choices_without_validation(config.train, *(["tune"] if config.tune else []), *others)
    return listing.classes


def _check_images(data: DataConfig, section: str) -> Listing | None:
    """Lists the images; None if they are not known before the run."""
    from restem.example_gen.layouts.records import check_first
    from restem.example_gen.listing import check_listing
    from restem.example_gen.spans import newest

    path = data.path
    if path in KEYWORDS[section, "path"]:
        return None
    if path.rpartition("/")[2].startswith(EMBEDDED_PREFIX):
        known = ", ".join(KEYWORDS[section, "path"])
        raise RestemError("there are no such embedded images", where=f"{section}.path", expected=known, given=path)
    if data.found_layout == "tfrecord":
        # Listing TFRecord files would read them completely.
        for span in newest(path, data.spans):
            check_first(span.path, data)
        return None
    return check_listing(path, data)


def check_stem(config: Config) -> None:
    """Rejects band names and combinations that the stem library rejects, before the images are read."""
    for values in config.tune.combinations("stem") if config.tune else ({},):
        _check_stem(with_values(config, stem=values), values)


def _check_stem(config: Config, tuned: dict[str, Any]) -> None:
    from restem.stem import PREPROCESSING, StemError
    from restem.stem.rules.channels import plan_channels
    from restem.trainer.model_config import stem_spec
    from restem.trainer.source_config import preprocessing_of

    measured = dict.fromkeys(config.image.names, (0.0, 1.0))  # Placeholders: the values are not checked.
    try:
        spec = stem_spec(config.stem, config.image, measured=measured)
        if not isinstance(config.model.source, str):
            plan_channels(spec, preprocessing_of(config.model.source))
        elif config.model.source_weights in KEYWORDS["model", "weights"]:
            # Such a source has red, green and blue; the bands of a checkpoint are known only when it is read.
            plan_channels(spec, PREPROCESSING["none"])
    except StemError as error:
        where = "the sections image and stem"
        if tuned:
            where += f", with {', '.join(f'{name}: {json.dumps(value)}' for name, value in tuned.items())} of tune.over"
        raise RestemError(str(error), where=where) from None


def _check_imagenet(backbone: str, key: str = "weights") -> None:
    """Checks that Keras has the weights or can download them. Otherwise the run would fail after the data steps."""
    problem = imagenet.why_not_available(backbone)
    if not problem:
        return
    file = imagenet.weights_file(backbone)
    trained = "restem pretrain, or model.weights: pretrain" if key == "weights" else "restem pretrain"
    raise RestemError(
        "ImageNet's weights are not on this machine and cannot be downloaded",
        where=f"model.{key}",
        expected=f"{file.name} in {file.parent}, or at {imagenet.URL}",
        given=problem,
        remedy=(
            f"Copy that file from a machine that has it; or set model.{key} to your own checkpoint; or train a "
            f"source network on your own images ({trained}); or start from random weights with model.{key}: none"
        ),
    )


def check_checkpoint(config: Config) -> str:
    """Checks model.weights or model.first_weights, whichever a network starts with, if it is a file. Gives its key."""
    key = "first_weights" if config.model.continues else "weights"
    weights = config.model.source_weights
    if weights not in KEYWORDS["model", key]:
        check_source(config)
    else:
        _check_form(config, None)
    return key


def _check_form(config: Config, found: Any) -> None:
    """Rejects changes of the stem that this network does not allow; `found` is its checkpoint, or None."""
    from restem.stem import StemError
    from restem.stem.allowed import check_allowed, form_before_reading
    from restem.trainer.model_config import stem_spec

    form = form_before_reading(config.model.backbone, found)
    if form is None:
        return
    for values in config.tune.combinations("stem") if config.tune else ({},):
        changed = with_values(config, stem=values)
        measured = dict.fromkeys(config.image.names, (0.0, 1.0))  # Placeholders: the values are not checked.
        try:
            check_allowed(stem_spec(changed.stem, config.image, measured=measured), form)
        except StemError as error:
            raise RestemError(str(error), where="stem" if not values else f"stem, with {values} of tune.over") from None


def _check_weights(path: Path, config: Config, key: str) -> Any:
    """Checks that the file is a checkpoint of this network, by its content, and that its preprocessing is known."""
    from restem.stem import StemError
    from restem.stem.checkpoint.summary import must_be_said
    from restem.stem.contents import check_contents

    where = f"model.{key} ({path})"
    if not path.is_file() and not path.with_name(f"{path.name}.index").is_file():
        raise RestemError(
            "there is no such checkpoint file",
            where=where,
            expected=f"{', '.join(KEYWORDS['model', key])}, or a checkpoint: a file ending in .weights.h5, .h5 or "
            ".keras",
            given="a folder" if path.is_dir() else None,
            remedy="Give an existing file; restem pretrain --out FILE.weights.h5 makes one",
        )
    try:
        found = check_contents(path, config.model.backbone)
    except StemError as error:
        raise RestemError(str(error), where=where, remedy="Give another checkpoint, or set model.backbone") from None
    reason = must_be_said(found)
    if reason and config.model.source == "auto":
        raise RestemError(
            f"the preprocessing of this checkpoint must be said: {reason}",
            where="model.source",
            given="auto",
            remedy="Set model.source to a name, or to the source's bands: {bands: [...], scale: 1, offset: 0}; its "
            "input is scale * raw + offset, raw 0..255",
        )
    return found


def _refuse_presets(weights: str) -> None:
    """Says how a preset of KerasHub is given: not by its name, and not as a folder."""
    from restem.stem import StemError
    from restem.stem.checkpoint.hub import refuse_online

    try:
        if "://" in weights or not Path(weights).exists():
            # A configuration's path is relative to its own folder, and so a name has become a path.
            refuse_online(weights if "://" in weights else Path(weights).name)
    except StemError as error:
        raise RestemError(str(error), where="model.weights") from None
    file = Path(weights) / "model.weights.h5"
    if file.is_file():
        raise RestemError(
            "this is neither a pushed model nor a folder of versions, but the folder of a checkpoint",
            where=f"model.weights ({weights})",
            remedy=f"Give the file in it: {file}",
        )


def _refuse_other_formats(path: Path) -> None:
    """Names the format of a checkpoint that is neither a pushed model nor ends like a checkpoint that is read."""
    from restem.stem import StemError
    from restem.stem.checkpoint.formats import recognise

    if path.is_dir() or not (path.is_file() or path.with_name(f"{path.name}.index").is_file()):
        return
    where = f"model.weights ({path})"
    try:
        kind = recognise(path)
    except StemError as error:
        raise RestemError(str(error), where=where) from None
    remedy = "Rename the file"
    raise RestemError(
        "a checkpoint is known by its ending",
        where=where,
        expected=", ".join(CHECKPOINT_SUFFIXES),
        given=kind,
        remedy=remedy,
    )


def check_source(config: Config) -> str:
    """The source's preprocessing and who says so. A checkpoint is examined, without building a network.

    Raises:
        RestemError: there is no such checkpoint; it is one of another network, or has other channels than model.source
            describes.
    """
    from restem.stem import StemError
    from restem.stem.declared import declared_source
    from restem.trainer.source_config import preprocessing_of

    key = "first_weights" if config.model.continues else "weights"
    weights, source = config.model.source_weights, config.model.source
    if weights in KEYWORDS["model", key]:
        usual = "tf" if config.model.backbone.endswith("V2") else "caffe"
        if source == "auto":
            return usual if weights != "none" else f"{usual} (the weights are random)"
        return "as given in model.source"
    found = _check_weights(Path(weights), config, key)
    _check_form(config, found)
    try:
        return declared_source(found, preprocessing_of(source))
    except StemError as error:
        raise RestemError(str(error), where="model.source") from None


def _check_baseline(path: Path) -> None:
    """Checks that all files of a model exist. The step checks its classes and that TensorFlow can load it."""
    if not path.is_dir():
        raise unusable(str(path), "a file" if path.exists() else "there is no such folder")
    found, skipped = newest(str(path), lambda folder: missing(file_sizes(folder)))
    if found is None:
        raise unusable(str(path), reasons(str(path), skipped))


def _check_destination(path: Path) -> None:
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise RestemError(
            "models cannot be written there",
            where=f"push.destination ({path})",
            expected="a folder that can be created and written to",
            given=f"{existing} is {'a folder without write permission' if existing.is_dir() else 'a file'}",
        )
