"""The part of `preflight` for the network: the stem's changes, ImageNet's weights, and the content of a checkpoint."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from restem.errors import RestemError
from restem.pipeline import imagenet
from restem.pipeline.config import KEYWORDS, Config, with_values
from restem.storage import is_remote
from restem.trainer.model_config import CHECKPOINT_SUFFIXES


def check_stem(config: Config) -> None:
    """Rejects band names and combinations that the stem library rejects, before the images are read."""
    from restem.stem import PREPROCESSING, StemSpec
    from restem.stem.rules.channels import plan_channels
    from restem.trainer.source_config import preprocessing_of

    def check(spec: StemSpec) -> None:
        if not isinstance(config.model.source, str):
            plan_channels(spec, preprocessing_of(config.model.source))
        elif config.model.source_weights in KEYWORDS["model", "weights"]:
            # Such a source has red, green and blue; the bands of a checkpoint are known only when it is read.
            plan_channels(spec, PREPROCESSING["none"])

    _each_stem(config, "the sections image and stem", check)


def _check_form(config: Config, found: Any) -> None:
    """Rejects changes of the stem that this network does not allow; `found` is its checkpoint, or None."""
    from restem.stem.allowed import check_allowed, form_before_reading

    form = form_before_reading(config.model.backbone, found)
    if form is not None:
        _each_stem(config, "stem", lambda spec: check_allowed(spec, form))


def _each_stem(config: Config, where: str, check: Callable[[Any], None]) -> None:
    """Checks the StemSpec of the configuration, or that of each combination in tune.over."""
    from restem.stem import StemError
    from restem.trainer.model_config import stem_spec

    measured = dict.fromkeys(config.image.names, (0.0, 1.0))  # Placeholders: the values are not checked.
    for values in config.tune.combinations("stem") if config.tune else ({},):
        try:
            check(stem_spec(with_values(config, stem=values).stem, config.image, measured=measured))
        except StemError as error:
            tuned = ", ".join(f"{name}: {json.dumps(value)}" for name, value in values.items())
            raise RestemError(str(error), where=f"{where}, with {tuned} of tune.over" if tuned else where) from None


def check_imagenet(backbone: str, key: str = "weights") -> None:
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


def _check_weights(path: Path, config: Config, key: str) -> Any:
    """Checks that the file is a checkpoint of this network, by its content, and that its preprocessing is known."""
    from restem.stem import StemError
    from restem.stem.checkpoint.summary import must_be_said
    from restem.stem.contents import check_contents

    where = f"model.{key} ({path})"
    if is_remote(config.model.source_weights):
        raise RestemError(
            "a checkpoint is read from a file of this machine",
            where=f"model.{key}",
            given=config.model.source_weights,
            remedy="Download it; on Kubeflow, put it on a volume",
        )
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


def refuse_presets(weights: str) -> None:
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


def refuse_other_formats(path: Path) -> None:
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
