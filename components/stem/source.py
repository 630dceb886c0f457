"""What a checkpoint takes: its preprocessing, and whether that is already inside the network."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np

from .anatomy import RESCALE, Anatomy
from .errors import StemError
from .preprocessing import PREPROCESSING, Preprocessing
from .saved import describe


@dataclasses.dataclass(frozen=True)
class Source:
    """The input of the network to modify.

    Attributes:
        preprocessing: from raw pixels (0..255) to what its first convolution reads, before zero padding.
        constant: the convolution reads one more channel, constantly one (a network this library made).
        raw_scale, raw_offset: what a network with its preprocessing inside applies to its own raw input;
            None where its input is already preprocessed.
    """

    preprocessing: Preprocessing
    constant: bool = False
    raw_scale: np.ndarray | None = None
    raw_offset: np.ndarray | None = None

    def network_input(self, seen: np.ndarray) -> np.ndarray:
        """What to give the network for its first convolution to read `seen`."""
        return seen if self.raw_scale is None else (seen - self.raw_offset) / self.raw_scale


def read_source(backbone: keras.Model, anatomy: Anatomy, source: str | Preprocessing) -> Source:
    """The source's preprocessing.

    Args:
        source: `auto` (what the network itself says, if this library made it; V1: caffe, V2: tf, as
            keras.applications trained them), a name in PREPROCESSING, or a Preprocessing (needed where the
            source does not have red, green and blue).
    """
    about = describe(backbone)
    if anatomy.before or (about and source == "auto"):
        return _own(backbone, anatomy, about, source)
    if isinstance(source, Preprocessing):
        found = source
    elif source == "auto":
        found = PREPROCESSING["caffe" if anatomy.family == "V1" else "tf"]
    elif source in PREPROCESSING:
        found = PREPROCESSING[source]
    else:
        raise StemError(
            f"source must be 'auto', one of {', '.join(PREPROCESSING)}, or a Preprocessing, not {source!r}."
        )
    channels = anatomy.kernel.shape[2]
    if len(found.bands) != channels:
        raise StemError(
            f"The source's first convolution reads {channels} channel(s), but its preprocessing {found.name!r} "
            f"describes {len(found.bands)} ({', '.join(found.bands)}). Give source=Preprocessing(name, bands, scale, "
            f"offset) with one entry for each of its {channels} channel(s), in its own order."
        )
    return Source(found)


def _own(backbone: keras.Model, anatomy: Anatomy, about: dict | None, source: str | Preprocessing) -> Source:
    """A network this library made: its report says what it takes."""
    if source != "auto":
        raise StemError(f"{backbone.name!r} was made by this library and knows its preprocessing: leave source='auto'.")
    if about is None:
        raise StemError(
            f"{backbone.name!r} was made by this library but has lost its report (it was loaded before "
            "restem.stem was imported): import restem.stem first, then load it."
        )
    given = about["report"]["input"]
    low, high = given["value_range"]
    scale, offset = np.asarray(given["scale"]), np.asarray(given["offset"])
    preprocessing = Preprocessing(
        name=about["report"]["source"]["preprocessing"],
        bands=tuple(given["bands"]),
        scale=tuple(scale * (high - low) / 255),
        offset=tuple(offset + scale * low),
    )
    inside = RESCALE in anatomy.before
    return Source(preprocessing, anatomy.constant, scale if inside else None, offset if inside else None)
