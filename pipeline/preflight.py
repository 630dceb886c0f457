"""Checks that run before TensorFlow and TFX are loaded: missing folders, empty classes, unusable files."""

import os
from pathlib import Path

from restem.baseline.choice import reasons, unusable
from restem.errors import RestemError
from restem.evaluator.config import LATEST_APPROVED, STOCK
from restem.example_gen.classes import ClassChange, refuse_missing
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import VAL, Listing, first_few
from restem.files import file_sizes
from restem.notify.send import check as check_notify
from restem.pipeline.config import KEYWORDS, Config, push_destination
from restem.pipeline.preflight_machine import check_machine
from restem.pipeline.preflight_network import (
    check_checkpoint,
    check_imagenet,
    check_stem,
    refuse_other_formats,
    refuse_presets,
)
from restem.pusher.classes import class_change
from restem.pusher.versions import missing, newest, newest_version
from restem.start.check import check_classes, check_same_network
from restem.start.check import unusable as unusable_start
from restem.start.choice import no_model
from restem.track.config import check_installed as check_tracker
from restem.trainer.config import refuse_choices_without_validation
from restem.tuner.config import check_installed

EMBEDDED_PREFIX = "embedded:"
PATTERN = frozenset("*?[]\\")  # what the file systems of TensorFlow and Beam match as a pattern
BUCKETS = ("gs://",)  # the remote storage that TensorFlow reads without more packages


def preflight(config: Config, *, pretrain: bool = False, root: Path | None = None) -> list[str]:
    """Checks the files and folders in the configuration, and the machine; reads only names and first bytes.

    Args:
        config: as `load_config` returned it.
        pretrain: the source network is trained, even if model.weights is not `pretrain`.
        root: the run's folder, which holds the approved models unless push.destination names another folder.

    Returns:
        Warnings, a sentence each.

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
    listing = _check_images(config.data, "data")
    classes = _check_validation(config, listing)
    if config.pretrain.path is not None and (pretrain or config.model.weights == "pretrain"):
        _check_images(config.data.elsewhere(config.pretrain.path), "pretrain")
    if pretrain:
        return []
    if not config.model.continues or check_start(config, classes, root):
        key = check_checkpoint(config)
        if config.model.source_weights == "imagenet":
            check_imagenet(config.model.backbone, key)
    check_released_classes(config, classes, root)
    check_comparison(config)
    check_requirements(config, classes)
    check_release(config)
    return [] if root is None else check_machine(config, listing, root)


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
    refuse_presets(model.weights)
    check_storage("model.weights", model.weights)
    check_plain("model.weights", model.weights)
    approved = _approved(config, root)
    found = None
    if model.weights == LATEST_APPROVED:
        found = None if approved is None or "://" in approved else newest_version(approved, _unusable_start)[0]
    elif "://" not in model.weights:
        found, skipped = newest(model.weights, _unusable_start)
        if found is None:
            refuse_other_formats(Path(model.weights))
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
    return _check_validation(config, _check_images(config.data, "data"))


def _check_validation(config: Config, listing: Listing | None) -> tuple[str, ...]:
    """Rejects choices on validation images that do not exist; returns the classes, if they are known."""
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
