"""Pixels without data: how the configuration names them (`image.nodata`), and the rule that follows from it."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from restem.section import Section

MOST_BANDS = 64
NAN: Literal["nan"] = "nan"
_LARGEST_WHOLE = 2**53
_EXPECTED = "a number, nan (NaN and infinity), or {band: N} for a mask band (its number from 1, or its name)"


class MaskBand(Section):
    """A channel of the file whose zeros mark pixels without data; it is then no channel of the image."""

    band: Annotated[int, Field(strict=True, ge=1, le=MOST_BANDS)] | Annotated[str, Field(min_length=1)] = Field(
        description="The mask's number among the file's channels, counted from 1, or its name in image.bands."
    )


NodataKey = MaskBand | float | Literal["nan"]


def checked_nodata(value: Any) -> Any:
    """One readable error instead of one for each form of the key. NaN becomes the word, which JSON can keep."""
    if value is None or isinstance(value, MaskBand):
        return value
    if isinstance(value, str) and value.strip().lower() in ("nan", ".nan"):
        return NAN
    if isinstance(value, int | float) and not isinstance(value, bool):
        if math.isnan(value):
            return NAN
        if math.isinf(value):
            raise ValueError(f"expected {_EXPECTED}; given {value!r}: nan stands for infinity too")
        return float(value)
    if isinstance(value, dict) and set(value) == {"band"}:
        try:
            return MaskBand.model_validate(value)
        except ValidationError:
            pass
    raise ValueError(f"expected {_EXPECTED}; given {value!r}")


def as_number(value: float) -> str:
    """A number as the configuration writes it: 65535, -9999, 0.1, -3.4028234663852886e+38."""
    return str(int(value)) if value.is_integer() and abs(value) <= _LARGEST_WHOLE else repr(value)


@dataclass(frozen=True)
class Nodata:
    """Which values of a file are no data. One of the first three is set.

    A value is compared in each channel by itself. A mask band holds for all channels of its pixel.

    value: this stored value.
    not_finite: NaN and infinity.
    mask: the place of the mask band among the file's channels, from 0.
    seen: the places of the channels that the model sees; None: the file is grey or RGB, perhaps with alpha, beside the
      mask band.
    most: image.max_nodata, the largest share of a file's pixels without data.
    """

    value: float | None = None
    not_finite: bool = False
    mask: int | None = None
    seen: tuple[int, ...] | None = None
    most: float = 1.0

    def __post_init__(self) -> None:
        """Accepts what JSON keeps of `seen`."""
        if self.seen is not None:
            object.__setattr__(self, "seen", tuple(self.seen))

    @property
    def needs_exact_values(self) -> bool:
        """Whether a file whose values were changed, as by JPEG, cannot be used."""
        return not self.not_finite

    @property
    def allows_not_finite(self) -> bool:
        """Whether some values may be NaN or infinity: all of them, or those that the mask hides."""
        return self.not_finite or self.mask is not None

    @property
    def text(self) -> str:
        """As the configuration writes it."""
        if self.mask is not None:
            return f"{{band: {self.mask + 1}}}"
        return NAN if self.value is None else as_number(self.value)


def declared_value(text: str) -> str | None:
    """The value that a file declares as no data (GDAL's TIFF tag 42113), as image.nodata takes it.

    None if the text is no number.
    """
    try:
        value = float(text.strip(" \0"))
    except ValueError:
        return None
    return as_number(value) if math.isfinite(value) else NAN
