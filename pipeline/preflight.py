"""Checks that run before TensorFlow and TFX are loaded: missing folders, empty classes, unusable files."""

import os
import threading
from http.client import HTTPException
from pathlib import Path

from restem.baseline.check import missing
from restem.baseline.choice import unusable
from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import VAL
from restem.pipeline.config import KEYWORDS, Config
from restem.trainer.config import refuse_choices_without_validation

EMBEDDED_PREFIX = "embedded:"
HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK\x03\x04"
IMAGENET_URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet"
ANSWER_SECONDS = 4.0
BUCKETS = ("gs://",)  # the remote storage that TensorFlow reads without more packages


def preflight(config: Config, *, pretrain: bool = False) -> None:
    """Checks the files and folders in the configuration; reads only names and first bytes.

    Args:
        config: as `load_config` returned it.
        pretrain: the source network is trained, even if model.weights is not `pretrain`.

    Raises:
        RestemError: with the key, what was expected, what was given and the remedy.
    """
    _check_runner(config)
    _check_workers(config)
    check_stem(config)
    check_images(config)
    if config.pretrain.path is not None and (pretrain or config.model.weights == "pretrain"):
        _check_images(config.data.elsewhere(config.pretrain.path), "pretrain")
    if config.model.weights not in KEYWORDS["model", "weights"]:
        _check_weights(Path(config.model.weights))
    elif config.model.weights == "imagenet" and not pretrain:
        _check_imagenet(config.model.backbone)
    if not pretrain:
        check_release(config)


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
    if destination is not None and "://" not in destination:
        _check_destination(Path(destination))


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


def check_images(config: Config) -> None:
    """The part of `preflight` for data.path: enough to read the images."""
    splits = _check_images(config.data, "data")
    if splits and VAL not in splits:
        refuse_choices_without_validation(config.train)


def _check_images(data: DataConfig, section: str) -> tuple[str, ...]:
    """Returns the splits of the images; nothing if they are not known before the run."""
    from restem.example_gen.layouts.records import check_first
    from restem.example_gen.listing import check_listing
    from restem.example_gen.spans import newest

    path = data.path
    if path in KEYWORDS[section, "path"]:
        return ()
    if path.rpartition("/")[2].startswith(EMBEDDED_PREFIX):
        known = ", ".join(KEYWORDS[section, "path"])
        raise RestemError("there are no such embedded images", where=f"{section}.path", expected=known, given=path)
    if data.found_layout == "tfrecord":
        # Listing TFRecord files would read them completely.
        for span in newest(path, data.spans):
            check_first(span.path, data)
        return ()
    return check_listing(path, data).splits


def check_stem(config: Config) -> None:
    """Rejects band names and combinations that the stem library rejects, before the images are read."""
    from restem.stem import PREPROCESSING, StemError
    from restem.stem.rules.channels import plan_channels
    from restem.trainer.config import stem_spec

    measured = dict.fromkeys(config.image.names, (0.0, 1.0))  # Placeholders: the values are not checked.
    try:
        spec = stem_spec(config.stem, config.image, measured=measured)
        if config.model.weights in KEYWORDS["model", "weights"]:
            # Such a source has red, green and blue; the bands of a checkpoint are known only when it is loaded.
            plan_channels(spec, PREPROCESSING["none"])
    except StemError as error:
        raise RestemError(str(error), where="the sections image and stem") from None


def _check_imagenet(backbone: str) -> None:
    """Checks that Keras has the weights or can download them. Otherwise the run would fail after the data steps."""
    name = f"{backbone.lower()}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    if (home / "models" / name).is_file():
        return
    # In a thread: without a network, a DNS lookup may take half a minute.
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(_ask(f"{IMAGENET_URL}/{name}")), daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    problem = answers[0] if answers else f"no answer in {ANSWER_SECONDS:g} seconds"
    if problem:
        raise RestemError(
            "ImageNet's weights are not on this machine and cannot be downloaded",
            where="model.weights",
            expected=f"{name} in {home / 'models'}, or at {IMAGENET_URL}",
            given=problem,
            remedy=(
                "Copy that file from a machine that has it; or set model.weights to your own checkpoint; or train a "
                "source network on your own images (restem pretrain, or model.weights: pretrain); or start from "
                "random weights with model.weights: none"
            ),
        )


def _ask(url: str) -> str:
    """Why `url` cannot be downloaded; empty if it can."""
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(url, method="HEAD"), timeout=ANSWER_SECONDS):  # noqa: S310 - a fixed https address
            return ""
    except (OSError, ValueError, HTTPException) as error:  # ValueError: the proxy is not a valid address
        return str(getattr(error, "reason", None) or error) or type(error).__name__


def _check_weights(path: Path) -> None:
    where = f"model.weights ({path})"
    expected = "imagenet, none, pretrain, or a checkpoint: a file ending in .weights.h5, .h5 or .keras"
    if not path.is_file():
        given = "a folder" if path.is_dir() else None
        remedy = "Give an existing file; restem pretrain --out FILE.weights.h5 makes one"
        raise RestemError(
            "there is no such checkpoint file", where=where, expected=expected, given=given, remedy=remedy
        )
    if path.suffix not in (".h5", ".hdf5", ".keras"):
        raise RestemError("the file does not have the suffix of a checkpoint", where=where, expected=expected)
    magic, kind = (ZIP, "a Keras archive") if path.suffix == ".keras" else (HDF5, "an HDF5 file")
    try:
        with open(path, "rb") as file:
            start = file.read(len(magic))
    except OSError as error:
        raise RestemError("the checkpoint cannot be read", where=where, given=error.strerror) from None
    if start != magic:
        given = f"a file of {path.stat().st_size:,} bytes that starts with {start!r}"
        remedy = "The file may be damaged, incomplete or of another type: download it again"
        raise RestemError("this file is not a checkpoint", where=where, expected=kind, given=given, remedy=remedy)


def _check_baseline(path: Path) -> None:
    """Checks that all files of a model exist. The step checks its classes and that TensorFlow can load it."""
    if not path.is_dir():
        raise unusable(str(path), "a file" if path.exists() else "there is no such folder")
    versions = [folder for folder in path.iterdir() if folder.name.isdigit() and folder.is_dir()]
    folders = [path] if (path / "saved_model.pb").exists() or not versions else versions
    reasons = {folder.name: missing(_sizes(folder)) for folder in folders}
    bad = {name: reason for name, reason in reasons.items() if reason}
    if len(bad) == len(reasons):
        listed = [f"version {name}: {reason}" if folders == versions else reason for name, reason in bad.items()]
        raise unusable(str(path), "; ".join(sorted(listed)))


def _sizes(folder: Path) -> dict[str, int]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}


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
