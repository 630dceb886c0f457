"""The source network's preprocessing: the affine map from raw pixels to its input, per channel."""

from __future__ import annotations

import dataclasses

import numpy as np

from .errors import StemError
from .spec import COLOURS

# Mean and standard deviation of ImageNet's training images, 0..1 (the constants of torchvision and of
# keras.applications' mode 'torch'), and the means in 0..255 that mode 'caffe' subtracts.
IMAGENET_MEAN = {"red": 0.485, "green": 0.456, "blue": 0.406}
IMAGENET_STD = {"red": 0.229, "green": 0.224, "blue": 0.225}
CAFFE_MEAN = {"red": 123.68, "green": 116.779, "blue": 103.939}


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """source_input[c] = scale[c] * raw[c] + offset[c], raw values from 0 (black) to 255 (white).

    Attributes:
        name: its name in the report.
        bands: names of the source's input channels, in its own order (caffe: blue, green, red).
        scale, offset: one number per channel.
        mean, std: statistics of the source's training images, one number per channel, 0..255; used for
            `normalise="statistics"` and for the scale of extra bands. None: ImageNet's, by band name.
    """

    name: str
    bands: tuple[str, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        n = len(self.bands)
        if n == 0 or len(set(self.bands)) != n:
            raise StemError(f"The source needs at least one band, and names must be unique; given: {self.bands!r}.")
        for field in ("scale", "offset", "mean", "std"):
            value = getattr(self, field)
            if value is not None and (len(value) != n or not np.all(np.isfinite(value))):
                raise StemError(f"Preprocessing.{field} needs one finite number for each of {n} bands, not {value!r}.")
        if any(s == 0 for s in self.scale):
            raise StemError("Preprocessing.scale must not be 0: the network would not see that channel.")
        if self.std is not None and min(self.std) <= 0:
            raise StemError("Preprocessing.std must be positive.")

    def apply(self, raw: np.ndarray) -> np.ndarray:
        """Converts raw pixels [..., bands], 0..255, in the source's own order to the source's input (float64)."""
        return np.asarray(raw, np.float64) * np.asarray(self.scale) + np.asarray(self.offset)

    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel of the source's input over its training images."""
        mean, std = self.raw_statistics()
        return self.apply(mean), np.abs(self.scale) * std

    def raw_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel over the source's training images, 0..255."""
        mean = self.mean or [255 * IMAGENET_MEAN.get(b, np.mean(list(IMAGENET_MEAN.values()))) for b in self.bands]
        std = self.std or [255 * IMAGENET_STD.get(b, np.mean(list(IMAGENET_STD.values()))) for b in self.bands]
        return np.asarray(mean), np.asarray(std)


def _caffe() -> Preprocessing:
    order = COLOURS[::-1]
    return Preprocessing("caffe", order, (1.0,) * 3, tuple(-CAFFE_MEAN[c] for c in order))


def _radimagenet() -> Preprocessing:
    """(BGR - mean) / 255: the published training scripts give Keras's ImageDataGenerator both `rescale=1/255` and
    keras.applications.imagenet_utils.preprocess_input, whose default is 'caffe' and which comes first
    (BMEII-AI/RadImageNet, e.g. acl/acl_train.py)."""
    order = COLOURS[::-1]
    return Preprocessing("radimagenet", order, (1 / 255,) * 3, tuple(-CAFFE_MEAN[c] / 255 for c in order))


def _torch() -> Preprocessing:
    return Preprocessing(
        "torch",
        COLOURS,
        tuple(1 / (255 * IMAGENET_STD[c]) for c in COLOURS),
        tuple(-IMAGENET_MEAN[c] / IMAGENET_STD[c] for c in COLOURS),
    )


PREPROCESSING = {
    "caffe": _caffe(),
    "tf": Preprocessing("tf", COLOURS, (1 / 127.5,) * 3, (-1.0,) * 3),
    "torch": _torch(),
    "none": Preprocessing("none", COLOURS, (1.0,) * 3, (0.0,) * 3),
    "unit": Preprocessing("unit", COLOURS, (1 / 255,) * 3, (0.0,) * 3),
    "radimagenet": _radimagenet(),
}
