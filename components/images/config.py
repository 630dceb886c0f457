"""The configuration's section for what the model sees of an image: its resolution and its channels."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MAX_SIDE_PIXELS = 4096
RGB = ("red", "green", "blue")
GREY = ("grey",)

Side = Annotated[int, Field(strict=True, ge=1, le=MAX_SIDE_PIXELS)]


def _checked_size(value: Any) -> Any:
    """One readable refusal instead of one for each form a size may take."""

    def is_side(side: Any) -> bool:
        return isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= MAX_SIDE_PIXELS

    if is_side(value):
        return value
    if isinstance(value, list | tuple) and len(value) == 2 and all(map(is_side, value)):
        return tuple(value)
    raise ValueError(
        f"expected a whole number of pixels from 1 to {MAX_SIDE_PIXELS}, or two as [height, width]; given {value!r}"
    )


class ImageConfig(BaseModel):
    """Resolution and channels of the images that the model sees."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[Side | tuple[Side, Side], BeforeValidator(_checked_size)] = Field(
        description="The model's input size in pixels: one number for a square, or [height, width]. Images of other "
        "sizes are resized with antialiasing; the aspect ratio is not kept."
    )
    channels: Literal[1, 3] | None = Field(
        None,
        description="1 makes every image grey, 3 makes it red, green, blue. Left out, it is the number of bands, or 3.",
    )
    bands: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1, max_length=4)] | None = Field(
        None,
        description="The names of the file's channels, in the file's order, to take them as they are: every image must "
        "have exactly that many (1 to 4). Channels named red, green and blue keep their pretrained stem weights.",
    )
    normalise: Literal["source", "dataset"] = Field(
        "source",
        description="'source' gives the network the pixel scale that its source weights were trained with; 'dataset' "
        "also brings each channel's mean and standard deviation, learned on the training split, to the source's.",
    )

    @model_validator(mode="after")
    def _channels_and_bands_agree(self) -> "ImageConfig":
        if self.bands is None:
            return self
        if len(set(self.bands)) != len(self.bands):
            raise ValueError(f"bands must have different names; given {', '.join(self.bands)}")
        if self.channels is not None and self.channels != len(self.bands):
            raise ValueError(
                f"channels and bands contradict each other: channels is {self.channels}, but bands names "
                f"{len(self.bands)} ({', '.join(self.bands)}); leave one of them out"
            )
        return self

    @property
    def height(self) -> int:
        """Height of the model's input in pixels."""
        return self.size if isinstance(self.size, int) else self.size[0]

    @property
    def width(self) -> int:
        """Width of the model's input in pixels."""
        return self.size if isinstance(self.size, int) else self.size[1]

    @property
    def count(self) -> int:
        """Number of channels into the model."""
        if self.bands is not None:
            return len(self.bands)
        return 3 if self.channels is None else self.channels

    @property
    def names(self) -> tuple[str, ...]:
        """The channels' names in order: ('grey',), ('red', 'green', 'blue') or the bands."""
        if self.bands is not None:
            return self.bands
        return GREY if self.count == 1 else RGB
