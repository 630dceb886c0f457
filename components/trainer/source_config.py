"""`model.source`: the preprocessing that the source's weights were trained with, by name or band by band."""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from restem.errors import RestemError
from restem.images.config import BandName
from restem.section import Section
from restem.stem import StemError, StemSpec
from restem.stem.spec import COLOURS

SourceName = Literal["auto", "caffe", "tf", "torch", "none", "unit", "radimagenet"]
Numbers = float | tuple[float, ...]
EXAMPLE = "{bands: [blue, green, red, nir], scale: 0.0039216, offset: 0}"


class SourceBands(Section):
    """A preprocessing in numbers: the source's input is scale * raw + offset, raw values 0..255."""

    bands: Annotated[tuple[BandName, ...], Field(min_length=1, max_length=4096)] = Field(
        description="The names of the source's channels, in its own order. Bands of the data with the same name use "
        "their pretrained kernels."
    )
    scale: Numbers = Field(description="One number, or one for each band.")
    offset: Numbers = Field(0.0, description="One number, or one for each band.")
    mean: Numbers | None = Field(
        None,
        description="The mean of each band over the source's training images, 0..255: for 'normalise', and for the "
        "check of plausibility. The default is that of ImageNet.",
    )
    std: Numbers | None = Field(None, description="The standard deviation, like 'mean'.")

    @field_validator("bands")
    @classmethod
    def _names_as_in_the_stem(cls, bands: tuple[str, ...]) -> tuple[str, ...]:
        """In the form in which the stem compares them: lower case, and grey for gray."""
        try:
            return StemSpec(bands=bands).bands or ()
        except StemError as error:
            raise RestemError(str(error)) from None

    @model_validator(mode="after")
    def _one_number_each(self) -> "SourceBands":
        for name in ("scale", "offset", "mean", "std"):
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else (value,)
            if value is None:
                continue
            if isinstance(value, tuple) and len(value) != len(self.bands):
                raise RestemError(
                    f"{name} does not have one number for each band",
                    expected=f"one number, or {len(self.bands)}",
                    given=f"{len(value)} numbers",
                )
            if not all(math.isfinite(one) for one in values):
                raise RestemError(f"{name} must be finite", given=str(value))
            if (name == "scale" and 0 in values) or (name == "std" and min(values) <= 0):
                wrong = "0: the network would not see that band" if name == "scale" else "0 or negative"
                raise RestemError(f"{name} must not be {wrong}", given=str(value))
        return self

    def each(self, name: str) -> tuple[float, ...] | None:
        """`scale`, `offset`, `mean` or `std`, one number for each band; None if it is not given."""
        value = getattr(self, name)
        return value if value is None or isinstance(value, tuple) else (value,) * len(self.bands)


def _read(value: Any) -> Any:
    """A mapping as SourceBands, another value as a name. A union would hide what of it is wrong, and where."""
    if isinstance(value, SourceBands):
        return value
    if not isinstance(value, Mapping):
        names = get_args(SourceName)
        if value not in names:
            raise RestemError(
                "there is no such source",
                expected=f"{', '.join(map(repr, names))}, or a section such as {EXAMPLE}",
                given=repr(value),
            )
        return value
    try:
        return SourceBands.model_validate(dict(value))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        cause = (first.get("ctx") or {}).get("error")
        if isinstance(cause, RestemError):
            raise RestemError(cause.what, expected=cause.expected, given=cause.given, remedy=cause.remedy) from None
        key = ".".join(map(str, first["loc"][:1]))
        raise RestemError(
            f"{key}: {first['msg'][:1].lower()}{first['msg'][1:]}",
            expected=f"bands, scale, offset, and perhaps mean and std, as in {EXAMPLE}",
            given=json.dumps(value, default=str)[:200],
        ) from None


SourceChoice = Annotated[SourceName | SourceBands, BeforeValidator(_read)]


def preprocessing_of(source: SourceName | SourceBands) -> Any:
    """The argument `source` of `modify_stem`: a name, or a restem.stem.Preprocessing."""
    if isinstance(source, str):
        return source
    # Imported here because it loads NumPy, which reading a configuration does not need.
    from restem.stem.preprocessing import Preprocessing

    scale, offset = source.each("scale"), source.each("offset")
    assert scale is not None
    assert offset is not None
    return Preprocessing("given", source.bands, scale, offset, source.each("mean"), source.each("std"))


def bands_of(source: SourceName | SourceBands) -> tuple[str, ...]:
    """The source's bands, as far as the configuration says them: red, green and blue for a name."""
    return COLOURS if isinstance(source, str) else source.bands


def source_text(source: SourceName | SourceBands) -> str:
    """`model.source` in one line."""
    if isinstance(source, str):
        return source
    return json.dumps(source.model_dump(mode="json", exclude_none=True))
