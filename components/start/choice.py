"""Chooses the model that a training goes on from, and notices if there is nothing to train."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from restem.errors import RestemError
from restem.files import file_sizes
from restem.images.config import ImageConfig
from restem.model_files import fingerprint
from restem.pusher.versions import newest, newest_version
from restem.run_record import EXTRA, MadeOf, read_classes
from restem.start.check import check_classes, check_same_network, refused
from restem.trainer.model_config import LATEST_APPROVED, ModelConfig, StemConfig

FILE = "start.json"

log = logging.getLogger("restem")


@dataclass(frozen=True)
class Start:
    """How a training starts.

    Attributes:
      kind: `first`: with model.first_weights, because nothing is approved yet; `continue`: with the weights of the
        model in `path`; `finished`: not at all, because that model is the result of the same images, settings and code.
      path: the model's folder.
      version: its number, if the folder's name is one.
      fingerprint: of its files.
      skipped: newer versions that cannot be used, newest first: each its folder and the reason.
    """

    kind: Literal["first", "continue", "finished"]
    path: str | None = None
    version: str | None = None
    fingerprint: str | None = None
    skipped: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> str:
        """As JSON; equal choices give the same text."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Start":
        """Reads the output of `to_json`."""
        values: dict[str, Any] = json.loads(text)
        return cls(**{**values, "skipped": tuple((path, reason) for path, reason in values["skipped"])})

    def tell(self) -> None:
        """Logs what was skipped and what was chosen."""
        for path, reason in self.skipped:
            log.warning("model.weights: %s is skipped: %s", path, reason)
        if self.kind == "first":
            log.info("no model is approved yet: the training starts with model.first_weights")
        elif self.kind == "continue":
            log.info("the training goes on from %s", self.path)
        else:
            log.info(
                "nothing to train: %s is already the result of these images, settings and code; it is the candidate",
                self.path,
            )


def choose_start(
    custom: Mapping[str, Any],
    destination: str | None,
    classes: Sequence[str],
    files: Sequence[str],
    verify_key: str | None = None,
) -> Start:
    """Finds the model.

    Args:
      custom: the `custom_config` of `run_fn`; its `model` has `continues`.
      destination: the folder of approved versions, for latest_approved.
      classes: this run's class names in label order.
      files: patterns of the files with the transformed examples, which may be read.
      verify_key: the file of the public key by which the model must be signed.

    Raises:
      RestemError: the model's files are not those that were pushed, or not signed; a requested folder has no usable
        model; the model's network is another one; it has classes that the data do not have.
    """
    model = ModelConfig.model_validate(custom["model"])
    latest = model.weights == LATEST_APPROVED
    where = destination if latest else model.weights
    assert where is not None
    found, skipped = (newest_version if latest else newest)(where, lambda each: refused(each, verify_key))
    if found is None:
        if latest:
            return Start("first", skipped=skipped)
        raise no_model(where, skipped)
    record = check_same_network(
        found,
        file_sizes(found),
        model,
        ImageConfig.model_validate(custom["image"]),
        StemConfig.model_validate(custom["stem"]),
    )
    check_classes(found, classes, drop=model.drop_classes)
    same = read_classes(f"{found}/{EXTRA}") == list(classes)
    finished = same and record.made_of is not None and _is_result(record.made_of, custom, files)
    name = os.path.basename(found)
    return Start(
        "finished" if finished else "continue",
        found,
        name if name.isdigit() else None,
        fingerprint(found),
        skipped,
    )


def no_model(path: str, skipped: Sequence[tuple[str, str]]) -> RestemError:
    """The error for a requested folder without a usable model."""
    return RestemError(
        "this folder has no model that a training can go on from",
        where=f"model.weights ({path})",
        expected="imagenet, none, pretrain, latest_approved, a checkpoint (a file ending in .weights.h5, .h5 or "
        ".keras), the folder of a model that this pipeline pushed, or a folder of such versions",
        given="; ".join(f"{folder}: {reason}" for folder, reason in skipped) or "there is no such folder",
    )


def _is_result(made: MadeOf, custom: Mapping[str, Any], files: Sequence[str]) -> bool:
    # Imported here because it loads TensorFlow.
    from restem.trainer.made_of import images_digest, settings_digest

    # The images are read only if the settings and the code are the same.
    return made.settings == settings_digest(custom) and made.images == images_digest(files)
