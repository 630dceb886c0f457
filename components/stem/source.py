"""The input of a checkpoint: its preprocessing, and whether that is already inside the network."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np

from .anatomy import RESCALE, Anatomy
from .errors import StemError
from .given import Front
from .preprocessing import PREPROCESSING, Preprocessing
from .saved import describe
from .spec import COLOURS

FROM_REPORT = "from this library's report in the file"


@dataclasses.dataclass(frozen=True)
class Source:
    """The input of the network to modify.

    Attributes:
        preprocessing: from raw pixels (0..255) to the input of its first convolution, before zero padding.
        constant: the convolution reads one more channel that is always one (a network that this library made).
        decided: why it is this preprocessing, for the report.
        raw_scale, raw_offset: what a network with preprocessing inside applies to its raw input; None if its
            input is already preprocessed.
    """

    preprocessing: Preprocessing
    decided: str
    constant: bool = False
    raw_scale: np.ndarray | None = None
    raw_offset: np.ndarray | None = None

    def network_input(self, seen: np.ndarray) -> np.ndarray:
        """The network input for which the first convolution reads `seen`."""
        return seen if self.raw_scale is None else (seen - self.raw_offset) / self.raw_scale


def read_source(backbone: keras.Model, anatomy: Anatomy, source: str | Preprocessing) -> Source:
    """The source's preprocessing.

    Args:
        source: `auto` (from the network's report if this library made it; otherwise V1: caffe, V2: tf, as
            keras.applications trained them), a name in PREPROCESSING, or a Preprocessing (needed if the
            source's channels are not red, green and blue).
    """
    about = describe(backbone)
    if anatomy.before or (about and source == "auto"):
        return _own(backbone, anatomy, about, source)
    front = getattr(backbone, "front", None)
    decided = "as given"
    if isinstance(source, Preprocessing):
        found = source
    elif source == "auto" and front is not None:
        found, decided = _of_layers(front), f"from the file: {front.layers}"
    elif source == "auto" and getattr(backbone, "unsure", None):
        raise StemError(
            f"The source's preprocessing must be said: {backbone.unsure}. Give it as source (model.source in a "
            "configuration, --source on the command line), or give a file of the whole model."
        )
    elif source == "auto":
        convention = getattr(backbone, "convention", None)
        found = PREPROCESSING[convention or ("caffe" if anatomy.family == "V1" else "tf")]
        who = (
            "the convention of torchvision and timm" if convention else f"Keras's convention of ResNet {anatomy.family}"
        )
        decided = (
            f"assumed: {who}, because the weights do not say it; to check: ask who trained them, or compare this "
            "network's features of one image with those of the program that trained it; another one is given as source"
        )
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
            f"offset) with one entry for each of its {channels} channel(s), in the source's order (on the command line "
            f"--source-bands)."
        )
    if front is not None and front.reverse and found.bands == COLOURS:
        raise StemError(
            f"The file has layers in front of the ResNet ({front.layers}) that reverse the order of the channels, so "
            f"its first convolution reads {', '.join(COLOURS[::-1])}, but source {found.name!r} says "
            f"{', '.join(COLOURS)}. Use source='auto', or a file without these layers."
        )
    if front is not None and not (np.allclose(found.scale, front.scale) and np.allclose(found.offset, front.offset)):
        raise StemError(
            f"The file has layers in front of the ResNet ({front.layers}) that multiply each channel by {front.scale} "
            f"and add {front.offset}, but source {found.name!r} multiplies by {found.scale} and adds {found.offset}. "
            "Use source='auto', or a file without these layers."
        )
    return Source(found, decided)


def _of_layers(front: Front) -> Preprocessing:
    """The preprocessing that a file's own layers are, if its channels have an order that goes without saying."""
    bands = {1: ("grey",), 3: COLOURS[::-1] if front.reverse else COLOURS}.get(len(front.scale))
    if bands is None:
        raise StemError(
            f"The file's network has {len(front.scale)} channels, and nothing in it names them. Give "
            f"source=Preprocessing(name, bands, {front.scale}, {front.offset}) with the names in the source's order."
        )
    return Preprocessing("layers of the file", bands, front.scale, front.offset)


def _own(backbone: keras.Model, anatomy: Anatomy, about: dict | None, source: str | Preprocessing) -> Source:
    """The source for a network that this library made, from its report."""
    if source != "auto":
        raise StemError(f"{backbone.name!r} was made by this library and has its own preprocessing: use source='auto'.")
    if about is None:
        raise StemError(
            f"{backbone.name!r} was made by this library, but its report is missing because plain Keras loaded it. "
            "Load it with restem.stem.load_backbone."
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
    return Source(
        preprocessing,
        FROM_REPORT,
        anatomy.constant,
        scale if inside else None,
        offset if inside else None,
    )
