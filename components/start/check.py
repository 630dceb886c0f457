"""Checks whether a training with this configuration can go on from a pushed model; loads neither TensorFlow nor TFX."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from restem.errors import RestemError
from restem.example_gen.dataset import first_few
from restem.files import file_sizes
from restem.images.config import ImageConfig
from restem.pusher.manifest import refuse_changed
from restem.pusher.versions import missing
from restem.record_files import DamagedRecord
from restem.run_record import EXTRA, NETWORK, ModelRecord, read_classes, read_model
from restem.trainer.model_config import AGAIN, ModelConfig, StemConfig
from restem.trainer.source_config import SourceBands, SourceName, source_text

# They decide only how a stem's first weights are derived.
FIRST_STEM_ONLY = {"extra_bands", "shrink", "noise", "narrow"}


def unusable(folder: str, sizes: Mapping[str, int]) -> str | None:
    """Why a folder has no complete pushed model, as the end of a sentence; None if it has one.

    Args:
      folder: a version as the Pusher writes it.
      sizes: file sizes in bytes by path relative to it.
    """
    gone = missing(sizes)
    if gone:
        return gone
    try:
        read_classes(f"{folder}/{EXTRA}")
        read_model(f"{folder}/{EXTRA}")
    except DamagedRecord as damage:
        return f"{EXTRA}/{damage}"
    return None


def refused(folder: str, verify_key: str | None) -> str | None:
    """As `unusable`; but a complete version whose files are not those that were pushed stops the run.

    An older version, or none, would be another start than was asked for.

    Args:
      folder: a version as the Pusher writes it.
      verify_key: the file of the public key by which it must be signed.

    Raises:
      RestemError: its files changed, or it is not signed.
    """
    sizes = file_sizes(folder)
    gone = missing(sizes)
    if gone is None:
        refuse_changed(folder, verify_key)
    return gone or unusable(folder, sizes)


def check_same_network(
    folder: str, sizes: Mapping[str, int], model: ModelConfig, image: ImageConfig, stem: StemConfig
) -> ModelRecord:
    """Refuses a complete pushed model whose network is not the one that the sections describe; returns its record.

    Raises:
      RestemError: with everything that differs.
    """
    where = f"model.weights ({folder})"
    record = read_model(f"{folder}/{EXTRA}")
    if NETWORK not in {name.removeprefix(f"{EXTRA}/") for name in sizes}:
        raise RestemError(
            "the training cannot go on from this model: it was pushed by an older version of restem",
            where=where,
            expected=f"{EXTRA}/{NETWORK}, which this version writes into every model",
            given="a model without this file",
            remedy=AGAIN,
        )
    if record.source is not None and not record.source.stock:
        raise RestemError(
            "the training cannot go on from this model: its source was a network with a changed stem, which the "
            "configuration does not describe",
            where=where,
            expected="a model whose source had the stock stem",
            given="a source that Restem had made",
            remedy=f"Set model.weights to {folder}/{EXTRA}/backbone.keras: its weights, with a new head",
        )
    if record.role != "candidate":
        raise RestemError("this is the baseline of a run, not a pushed model", where=where, given=record.role)
    theirs, ours = _described(record, where), _sections(model.backbone, model.source, image, stem)
    different = [key for key in ours if ours[key] != theirs.get(key)]
    if different:
        raise RestemError(
            "the training cannot go on from this model: its network is another one",
            where=where,
            expected=", ".join(f"{key} {theirs.get(key)}" for key in different),
            given=", ".join(f"{key} {ours[key]}" for key in different),
            remedy=f"Set these keys as they were. Or: {AGAIN[0].lower()}{AGAIN[1:]}",
        )
    return record


def check_classes(folder: str, classes: Sequence[str], *, drop: bool) -> bool:
    """Refuses the loss of a class; returns whether the model has the same classes.

    Args:
      folder: a complete pushed model.
      classes: of the data.
      drop: model.drop_classes.

    Raises:
      RestemError: the model has classes that the data do not have, and `drop` is false; or no class in common.
    """
    where = f"model.weights ({folder})"
    theirs = read_classes(f"{folder}/{EXTRA}")
    gone = [name for name in theirs if name not in set(classes)]
    if len(gone) == len(theirs):
        raise RestemError(
            "the model and the data have no class in common",
            where=where,
            expected=first_few(theirs),
            given=first_few(classes),
            remedy=AGAIN,
        )
    if gone and not drop:
        raise RestemError(
            "the model has classes that the data do not have",
            where=where,
            expected=f"images of {first_few(gone)}",
            given=f"the classes {first_few(classes)}",
            remedy="Add images of these classes, or set model.drop_classes: true to remove them from the model",
        )
    return set(theirs) == set(classes)


def _described(record: ModelRecord, where: str) -> dict[str, Any]:
    try:
        return _sections(
            record.backbone,
            ModelConfig.model_validate({"source": (record.config.get("model") or {}).get("source", "auto")}).source,
            ImageConfig.model_validate(record.config["image"]),
            StemConfig.model_validate(record.config["stem"]),
        )
    except (KeyError, ValidationError) as error:
        problem = str(error).splitlines()[0]
        raise RestemError(
            "the training cannot go on from this model: this version of restem does not understand its configuration",
            where=where,
            given=problem,
            remedy=AGAIN,
        ) from None


def _sections(backbone: str, source: SourceName | SourceBands, image: ImageConfig, stem: StemConfig) -> dict[str, Any]:
    """What decides the network and its input, by key."""
    usual = "tf" if backbone.endswith("V2") else "caffe"
    return {
        "model.backbone": backbone,
        "model.source": usual if source == "auto" else source_text(source),
        "image.size": f"{image.height} x {image.width}",
        "image.fit": image.fit,
        "image.bands": ", ".join(image.bands) if image.bands else None,
        "the channels": ", ".join(image.names),
        "image.background": image.background,
        "image.bits": image.bits,
        "image.value_range": image.value_range,
        "image.nodata": None if image.nodata_rule is None else image.nodata_rule.text,
        "image.normalise": image.normalise,
        "image.store": f"jpeg with quality {image.jpeg_quality}" if image.store == "jpeg" else "lossless",
        **{
            f"stem.{name}": value for name, value in stem.model_dump(mode="json").items() if name not in FIRST_STEM_ONLY
        },
    }
