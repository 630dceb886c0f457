"""The source of a training: its preprocessing, who said so, and whether it fits the images."""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from restem.images.config import GREY, RGB
from restem.run_record import SourceRecord
from restem.stem import Preprocessing, StemSpec, TransferReport
from restem.stem.anatomy import EXTRA_NORM, read_anatomy
from restem.stem.plausibility import Plausibility, check_plausibility
from restem.stem.source import read_source
from restem.trainer.model_config import ModelConfig, keras_convention
from restem.trainer.source_config import preprocessing_of

log = logging.getLogger("restem")

# Who trained these weights, and so with which preprocessing, is known.
KNOWN = {
    "imagenet": "known: Keras trained its ImageNet weights with it",
    "pretrain": "known: the Pretrain step trained with it",
    "none": "random weights, which were trained with none; Keras's convention",
}


class SourceNetwork:
    """A backbone with the preprocessing that the configuration gives it.

    Attributes:
      preprocessing: the argument `source` of `modify_stem`.
    """

    def __init__(self, backbone: keras.Model, model: ModelConfig, weights: str) -> None:
        """`weights`: `imagenet`, `none` or a checkpoint's path."""
        self._backbone = backbone
        self.preprocessing: str | Preprocessing = preprocessing_of(model.source)
        self._random = weights == "none"
        self._known = None
        if model.source == "auto" and model.weights == "pretrain":
            self.preprocessing = keras_convention(model.backbone)
        if model.source == "auto":
            self._known = KNOWN.get("pretrain" if model.weights == "pretrain" else weights)

    def stock_bands(self, names: Sequence[str]) -> tuple[str, ...] | None:
        """The channels of the stock network on images with these channels; None: red, green and blue."""
        bands = read_source(self._backbone, read_anatomy(self._backbone), self.preprocessing).preprocessing.bands
        if set(RGB) <= set(bands):
            return None
        return tuple(band for band in bands if band in names) or GREY

    def check(self, spec: StemSpec, seen: np.ndarray) -> Plausibility | None:
        """Compares the source's statistics with those of images; warns if its preprocessing is doubtful.

        Where the preprocessing is known, a difference is one of the images, so there is nothing to warn of: None.
        """
        if self._known is not None or self._random or not len(seen):
            return None
        found = check_plausibility(self._backbone, spec, seen, self.preprocessing)
        log.log(logging.WARNING if found.doubtful else logging.INFO, "model.source: %s", found.to_text())
        return found

    @property
    def stock(self) -> bool:
        """Whether its stem has the shape of the stock one: not so after a change by this library."""
        stem = read_anatomy(self._backbone)
        side, filters = stem.kernel.shape[0], stem.kernel.shape[3]
        usual = (side == 3 and not stem.before) if stem.deep else (side, filters) == (7, 64)
        return usual and stem.stride == 2 and stem.pool is not None and EXTRA_NORM not in stem.norms

    def told(self, report: TransferReport) -> TransferReport:
        """The report, with what is known of the weights' origin."""
        if self._known is None:
            return report
        return dataclasses.replace(report, source={**report.source, "decided": self._known})


def source_record(
    report: dict[str, Any], plausibility: Plausibility | None = None, *, stock: bool = True
) -> SourceRecord | None:
    """What a model's record says of its source; None for a report of an older version."""
    source = report.get("source") or {}
    if "became" not in source:
        return None
    return SourceRecord(
        preprocessing=source["preprocessing"],
        decided=source["decided"],
        bands=tuple(source["bands"]),
        scale=tuple(source["scale"]),
        offset=tuple(source["offset"]),
        became=tuple(source["became"]),
        reads=tuple(report["input"]["bands"]),
        plausibility=None if plausibility is None else plausibility.to_dict(),
        stock=stock,
    )
