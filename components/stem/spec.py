"""`StemSpec`: the specification of a new stem, validated on creation."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from .errors import StemError

KERAS_BACKBONES = ("ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2")
# keras.applications does not have these; they are built in the form of torchvision and timm.
OTHER_BACKBONES = ("ResNet18", "ResNet26", "ResNet34")
BACKBONES = (*KERAS_BACKBONES, *OTHER_BACKBONES)
COLOURS = ("red", "green", "blue")
GREY = "grey"

EXTRA_BANDS = ("zero", "mean")
SHRINK_RULES = ("least_squares", "pseudo_inverse", "bilinear", "crop")
NARROW_RULES = ("least_squares", "mean", "drop")
NORMALISE = ("source", "statistics")

# (name, mean, standard deviation), the last two in the units of the raw pixels
BandStatistics = tuple[tuple[str, float, float], ...]


@dataclasses.dataclass(frozen=True)
class StemSpec:
    """The stem to build. Fields left at their default keep what the source has.

    The rules are applied in this order, independent of the order of the arguments: channels, small images
    (or stride), kernel size, filters, extra BatchNorm, pool. A deep stem replaces the convolution.

    Attributes:
        channels: number of input channels; None: the number of `bands`, or the source's number.
        bands: names of the input channels, in input order. `red`, `green`, `blue` (or the names that the
            source declares) use their pretrained kernels; `grey` uses the sum of all of them; other names
            are extra bands. A single band with any other name is treated as grey.
        extra_bands: initial kernels of extra bands: `zero` (exact, and they still get gradients) or
            `mean` (the mean of the pretrained kernels; not exact).
        kernel: side of the square kernel, in pixels.
        shrink: how to make a kernel smaller: `least_squares` (under the covariance of the input),
            `pseudo_inverse` (FlexiViT's resize), `bilinear`, `crop`.
        filters: number of filters of the first convolution.
        noise: standard deviation of the zero-sum noise that makes copies of a filter differ, relative to
            the standard deviation of the kernels that read them; with 0, copies have equal gradients.
        narrow: how to remove filters: `least_squares` (refits the layers that read them), `mean` (folds
            the means of the removed filters into biases), `drop`.
        batch_norm: add a BatchNormalization after the convolution.
        small_images: the exact small-image stem: the function of the source on the image upsampled by 2
            (nearest neighbour), computed on the small image itself at stride 1.
        stride: stride of the first convolution, 1 or 2 (keeps shapes, not the function).
        pool: False removes the max pool of the stem (keeps shapes, not the function).
        deep: three 3x3 convolutions instead of one (ResNet-C, ResNet-D): initialised and calibrated,
            does not keep the function.
        deep_filters: filters of the first two convolutions of a deep stem; None: each half of the last.
        value_range: raw pixel values of black and white: (0, 255) for 8 bits, (0, 65535) for 16, (0, 1)
            for floats. Never guessed from the data.
        normalise: `source` applies the source's own constants to the known bands; `statistics` scales every
            band in `band_statistics` to the mean and standard deviation of the source's training images.
        band_statistics: {band: (mean, standard deviation)} in raw units, for extra bands (with
            `normalise="statistics"`, for all bands); stored in the format of `statistics`.
    """

    channels: int | None = None
    bands: tuple[str, ...] | None = None
    extra_bands: str = "zero"
    kernel: int | None = None
    shrink: str = "least_squares"
    filters: int | None = None
    noise: float = 0.25
    narrow: str = "least_squares"
    batch_norm: bool = False
    small_images: bool = False
    stride: int | None = None
    pool: bool = True
    deep: bool = False
    deep_filters: tuple[int, int] | None = None
    value_range: tuple[float, float] = (0.0, 255.0)
    normalise: str = "source"
    band_statistics: Mapping[str, tuple[float, float]] | BandStatistics | None = None

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731 - the class is frozen
        for name, low, high in (("channels", 1, 4096), ("kernel", 1, 31), ("filters", 1, 8192), ("stride", 1, 2)):
            _whole(name, getattr(self, name), low, high)
        for name in ("batch_norm", "small_images", "pool", "deep"):
            if not isinstance(getattr(self, name), bool):
                raise StemError(f"{name} must be True or False, not {getattr(self, name)!r}.")
        for name, choices in (
            ("extra_bands", EXTRA_BANDS),
            ("shrink", SHRINK_RULES),
            ("narrow", NARROW_RULES),
            ("normalise", NORMALISE),
        ):
            if getattr(self, name) not in choices:
                raise StemError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}.")
        if not _number(self.noise) or not 0 <= self.noise <= 10:
            raise StemError(f"noise must be a number from 0 to 10, not {self.noise!r}.")
        put("bands", None if self.bands is None else _band_names(self.bands))
        if self.bands is not None:
            if self.channels is not None and self.channels != len(self.bands):
                raise StemError(
                    f"channels={self.channels} contradicts bands={', '.join(self.bands)}, which are {len(self.bands)} "
                    "channel(s). Give only one of them, or make them agree."
                )
            put("channels", len(self.bands))
        put("value_range", _value_range(self.value_range))
        put("band_statistics", _statistics(self.band_statistics, self.bands))
        put("deep_filters", _pair(self.deep_filters))
        self._check_combination()

    @property
    def statistics(self) -> BandStatistics:
        """The validated `band_statistics`, one entry per band; empty if there are none."""
        return cast(BandStatistics, self.band_statistics or ())

    def _check_combination(self) -> None:
        if self.bands and GREY in self.bands and set(self.bands) & set(COLOURS):
            raise StemError(
                f"bands={', '.join(self.bands)} combines grey with a colour, but grey uses the kernels of all three "
                "colours. Use either the colours or grey, with or without extra bands."
            )
        if self.small_images and self.stride is not None:
            raise StemError("small_images sets the stride to 1: leave stride out.")
        if self.deep:
            for name, bad in (("kernel", self.kernel is not None), ("small_images", self.small_images)):
                if bad:
                    raise StemError(
                        f"deep and {name} cannot be combined: a deep stem is three 3x3 convolutions with new weights. "
                        "Leave one of them out (for small images, combine deep with stride=1)."
                    )
        elif self.deep_filters is not None:
            raise StemError("deep_filters can be used only with deep=True.")
        if self.normalise == "statistics" and not self.band_statistics:
            raise StemError(
                "normalise='statistics' needs band_statistics={band: (mean, standard deviation)}, in raw units "
                "(restem.stem.measure_bands computes them from an array of images)."
            )

    @classmethod
    def cifar(cls, **fields: Any) -> StemSpec:
        """The stem of the CIFAR ResNets: 3x3, stride 1, no pool (He et al. 2015, section 4.2).

        Raises StemError for fields that contradict this: another kernel, stride or pool, small_images, deep.
        """
        fixed = {"kernel": 3, "stride": 1, "pool": False}
        default = {field.name: field.default for field in dataclasses.fields(cls)}
        clashes = [
            name
            for name in (*fixed, "small_images", "deep")
            if fields.get(name, default[name]) not in (default[name], fixed.get(name))
        ]
        if clashes:
            raise StemError(
                f"The CIFAR stem is a 3x3 kernel at stride 1 without a max pool: leave out {', '.join(clashes)}."
            )
        return cls(**{**fields, **fixed})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `from_dict` reads them back."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> StemSpec:
        """The inverse of `to_dict`. Unknown names raise StemError."""
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(fields) - known)
        if unknown:
            raise StemError(f"Unknown stem field(s) {', '.join(unknown)}. Known fields: {', '.join(sorted(known))}.")
        return cls(**fields)


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(name: str, value: Any, low: int, high: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise StemError(f"{name} must be a whole number from {low} to {high}, not {value!r}.")


def _band_names(bands: Any) -> tuple[str, ...]:
    if isinstance(bands, str) or not all(isinstance(b, str) for b in bands):
        raise StemError(f"bands must be a list of names such as ('nir', 'red', 'green', 'blue'), not {bands!r}.")
    names = tuple(GREY if b.strip().lower() in ("grey", "gray") else b.strip().lower() for b in bands)
    if not names:
        raise StemError("bands is empty: give at least one name, or leave bands out.")
    for name in names:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_.+-]*", name):
            raise StemError(
                f"{name!r} is not a valid band name: use only letters, digits and _ . + -, and start with a letter or "
                "a digit."
            )
    duplicates = sorted({n for n in names if names.count(n) > 1})
    if duplicates:
        raise StemError(f"bands contains {', '.join(duplicates)} more than once.")
    return names


def _value_range(value: Any) -> tuple[float, float]:
    try:
        low, high = value
    except (TypeError, ValueError):
        low = high = None
    if not (_number(low) and _number(high) and low < high):
        raise StemError(f"value_range must be (black, white) with black < white, not {value!r}.")
    return float(low), float(high)


def _pair(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    try:
        first, second = value
    except (TypeError, ValueError):
        raise StemError(f"deep_filters must be two whole numbers, not {value!r}.") from None
    for number in (first, second):
        _whole("deep_filters", number, 1, 8192)
        if number is None:
            raise StemError(f"deep_filters must be two whole numbers, not {value!r}.")
    return first, second


def _statistics(value: Any, bands: tuple[str, ...] | None) -> BandStatistics | None:
    if value is None:
        return None
    items = value.items() if isinstance(value, Mapping) else [(item[0], item[1:]) for item in value]
    out = []
    for name, numbers in items:
        numbers = tuple(numbers)
        if len(numbers) != 2 or not all(_number(n) for n in numbers) or numbers[1] <= 0:
            raise StemError(
                f"band_statistics of {name!r} must be (mean, standard deviation > 0) in raw units, not {numbers!r}."
            )
        clean = _band_names((name,))[0]
        if bands is not None and clean not in bands:
            raise StemError(f"band_statistics contains {clean!r}, which is not one of the bands {', '.join(bands)}.")
        out.append((clean, float(numbers[0]), float(numbers[1])))
    return tuple(out) or None
