"""The configuration's image section: resolution, channels and depth of the model's input."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from restem.images.nodata import MOST_BANDS, MaskBand, Nodata, NodataKey, checked_nodata
from restem.section import NUMBER, Section

MAX_SIDE_PIXELS = 4096
MAX_BANDS = MOST_BANDS
RGB = ("red", "green", "blue")
GREY = ("grey",)

Fit = Literal["stretch", "pad", "crop"]
ArrayAxes = Literal["hwc", "chw"]
Side = Annotated[int, Field(strict=True, ge=1, le=MAX_SIDE_PIXELS)]
BandName = Annotated[str, Field(min_length=1)]


def _checked_size(value: Any) -> Any:
    """Gives one readable error instead of one for each form that a size can have."""

    def is_side(side: Any) -> bool:
        return isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= MAX_SIDE_PIXELS

    if is_side(value):
        return value
    if isinstance(value, list | tuple) and len(value) == 2 and all(map(is_side, value)):
        return tuple(value)
    raise ValueError(
        f"expected a whole number of pixels from 1 to {MAX_SIDE_PIXELS}, or two as [height, width]; given {value!r}"
    )


def _is_colour(value: str) -> str:
    _rgb(value)
    return value


def _rgb(colour: str) -> tuple[int, int, int]:
    # Pillow is needed only if a colour is given.
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(colour)[:3]
    except ValueError:
        raise ValueError(f"expected a colour as in HTML, 'white' or '#ff8000'; given {colour!r}") from None


@dataclass(frozen=True)
class DicomReading:
    """How DICOM files are read; see DicomConfig.

    value_range: image.value_range; MONOCHROME1 is inverted within it.
    """

    window: Literal["full", "file"] | tuple[float, float] = "full"
    frame: int | None = None
    allow_burned_in: bool = False
    value_range: tuple[float, float] | None = None


class DicomConfig(Section):
    """How DICOM files are read."""

    window: Literal["full", "file"] | tuple[float, float] = Field(
        "full",
        description="How grey values become black to white. 'full': the values in the modality's units (Hounsfield "
        "units for CT), with image.value_range as black and white; 'file': the lookup table or window in each file; "
        "[center, width]: this window in the modality's units. Values outside the window are clipped.",
    )
    frame: int | None = Field(
        None, ge=1, description="The frame of files with several, counted from 1. Without it, these are quarantined."
    )
    allow_burned_in: bool = Field(
        False,
        description="Whether files are used that say that annotations are burned into their pixels, such as the "
        "patient's name. Otherwise they are quarantined.",
    )

    @model_validator(mode="after")
    def _window_has_a_width(self) -> "DicomConfig":
        if isinstance(self.window, tuple) and self.window[1] < 1:
            raise ValueError(f"window must be [center, width] with a width of at least 1; given {list(self.window)}")
        return self


@dataclass(frozen=True)
class Requirements:
    """What a configuration requires of an image; checked on the file's header, before decoding.

    channels: number of channels that the file must have (as many as image.bands names), or None for 1 to 4.
    value_range: whether image.value_range is given; without it, floating point values have no meaning.
    max_upsampling: images that need more enlargement than this to reach height x width with `fit` are refused; None
      means no limit, and height, width and fit then keep their defaults.
    dicom: how DICOM files are read, or None to refuse them.
    nodata: which values are no data, and how many pixels a file may miss; None: every value is data.
    """

    channels: int | None = None
    value_range: bool = False
    max_upsampling: float | None = None
    height: int = 1
    width: int = 1
    fit: Fit = "stretch"
    dicom: DicomReading | None = None
    nodata: Nodata | None = None

    def __post_init__(self) -> None:
        """Accepts what JSON keeps of `dicom` and `nodata`."""
        if isinstance(self.nodata, dict):
            object.__setattr__(self, "nodata", Nodata(**self.nodata))
        if isinstance(self.dicom, dict):
            values = {key: tuple(value) if isinstance(value, list) else value for key, value in self.dicom.items()}
            object.__setattr__(self, "dicom", DicomReading(**values))

    def upsampling(self, height: int, width: int) -> float:
        """The factor by which an image of this size is enlarged: the larger of both directions, the smaller for pad."""
        down, across = self.height / height, self.width / width
        return min(down, across) if self.fit == "pad" else max(down, across)


class ImageConfig(Section):
    """Resolution, channels and depth of the images that the model sees."""

    size: Annotated[Side | tuple[Side, Side], BeforeValidator(_checked_size)] = Field(
        description="The model's input size in pixels: one number for a square, or [height, width]. Images of other "
        "sizes are resized with antialiasing, according to 'fit'."
    )
    fit: Fit = Field(
        "stretch",
        description="How an image with another aspect ratio is resized: 'stretch' changes the aspect ratio; 'pad' "
        "keeps it and fills the rest with 'background' (black if not set); 'crop' keeps it and takes the largest "
        "centred part with the model's aspect ratio.",
    )
    max_upsampling: float | None = Field(
        4.0,
        ge=1,
        description="Images that need more enlargement than this factor are quarantined with that reason; null means "
        "no limit. The pushed model accepts images of every size.",
    )
    channels: Annotated[Literal[1, 3] | None, NUMBER] = Field(
        None,
        description="1 converts every image to grey (Rec. 601 luma of the stored, gamma-encoded values), 3 to red, "
        "green, blue. The default is the number of bands, or 3 without bands.",
    )
    bands: Annotated[tuple[BandName, ...], Field(min_length=1, max_length=MAX_BANDS)] | None = Field(
        None,
        description="The names of the file's channels, in the file's order; the channels are used without conversion. "
        f"Every image must have exactly that many (1 to {MAX_BANDS}); the pages of a TIFF are channels too. Channels "
        "named red, green and blue keep their pretrained stem weights.",
    )
    select: Annotated[tuple[BandName, ...], Field(min_length=1)] | None = Field(
        None, description="Which bands the model sees, and in which order. The default is all bands."
    )
    background: Annotated[str, AfterValidator(_is_colour)] | None = Field(
        None,
        description="A colour as in HTML ('white', '#ff8000') that is blended with transparent images; it also fills "
        "the border of 'fit: pad' and pixels without data ('nodata'). By default, transparency is dropped and the "
        "stored colour is used. Not with bands.",
    )
    bits: Literal[8, 16] = Field(
        8,
        description="Bits per channel of the model's input: 8 (deeper images are rounded), or 16 (0..65535; 8-bit "
        "images are scaled to this range).",
    )
    value_range: tuple[float, float] | None = Field(
        None,
        description="The stored values for black and white, for example [0, 4095]; values outside are clipped. It is "
        "required for floating point and signed values, and also applies to 16-bit images; 8-bit images are not "
        "changed. The default for 16 bits is 0..65535.",
    )
    nodata: Annotated[NodataKey | None, BeforeValidator(checked_nodata)] = Field(
        None,
        description="Which values are no data, as at the border of a satellite image: a number, compared with the "
        "stored values before 'value_range'; 'nan' for NaN and infinity; or {band: N} for a mask band, a channel of "
        "the file whose zeros mark them (its number from 1, or its name in 'bands'); the model does not see it. They "
        "are shown black, or as 'background', and are in no channel's statistics. Without the key, NaN and infinity "
        "are refused, and every other value is data.",
    )
    max_nodata: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Files in which a larger share of the pixels has no data, in at least one channel that the model "
        "sees, are quarantined. Beyond the default, half, the image shows more filling than data. The pushed model "
        "accepts every share.",
    )
    dicom: DicomConfig | None = Field(
        None,
        description="How DICOM files are read (this needs the optional package, restem[dicom]). Without this section, "
        "they are quarantined.",
    )
    normalise: Literal["source", "dataset"] = Field(
        "source",
        description="'source' scales pixels the way the source weights were trained; 'dataset' also matches each "
        "channel's mean and standard deviation, computed on the training split, to those of the source.",
    )

    store: Literal["lossless", "jpeg", "none"] = Field(
        "lossless",
        description="How Transform stores images for the Trainer: 'lossless' is PNG, about 0.6 of the raw bytes for "
        "photographs; 'jpeg' is a quarter of that, and training, evaluation and serving all see the changed pixels; "
        "'none' stores nothing: each epoch decodes and resizes the images again, or only the first epoch if they fit "
        "into memory.",
    )
    jpeg_quality: int = Field(95, ge=50, le=100, description="The quality of 'store: jpeg'.")

    @model_validator(mode="after")
    def _jpeg_can_hold_it(self) -> "ImageConfig":
        if self.store == "jpeg" and (self.bits != 8 or self.names not in (GREY, RGB)):
            raise ValueError(
                "store: jpeg supports only 8-bit grey or red, green, blue; use 'lossless' or 'none' for "
                + (f"{self.bits} bits" if self.bits != 8 else f"the channels {', '.join(self.names)}")
            )
        return self

    @model_validator(mode="after")
    def _nodata_can_be_found(self) -> "ImageConfig":
        if self.nodata is None:
            return self
        if self.dicom is not None:
            raise ValueError(
                "nodata and dicom contradict each other: the values of DICOM files pass a lookup table or a window "
                "and may be inverted, so a stored value cannot be found in them; leave one of them out"
            )
        if not isinstance(self.nodata, MaskBand):
            return self
        band = self.nodata.band
        if self.bands is None:
            if isinstance(band, str):
                raise ValueError(
                    f"nodata names the band {band!r}, but there are no bands: name the file's channels in image.bands, "
                    "or give the mask's number, counted from 1"
                )
            return self
        named = ", ".join(self.bands)
        if (isinstance(band, str) and band not in self.bands) or (isinstance(band, int) and band > len(self.bands)):
            raise ValueError(
                f"nodata names the band {band!r}, but bands are {named}; expected one of these names, or a number from "
                f"1 to {len(self.bands)}"
            )
        mask = self.bands[self._mask] if self._mask is not None else ""
        if self.select is not None and mask in self.select:
            raise ValueError(f"{mask} is the mask of nodata, so the model cannot see it: remove it from select")
        if not self.names:
            raise ValueError(f"bands names nothing but {mask}, the mask of nodata: name the image's channels too")
        return self

    @model_validator(mode="after")
    def _channels_and_bands_agree(self) -> "ImageConfig":
        if self.bands is None:
            if self.select is not None:
                raise ValueError("select needs bands: name the file's channels in image.bands")
            return self
        for key, names in (("bands", self.bands), ("select", self.select or ())):
            if len(set(names)) != len(names):
                raise ValueError(f"{key} must have different names; given {', '.join(names)}")
        unknown = [name for name in self.select or () if name not in self.bands]
        if unknown:
            raise ValueError(f"select names {', '.join(unknown)}, but bands are {', '.join(self.bands)}")
        if self.channels is not None and self.channels != len(self.names):
            key = "bands" if self.select is None else "select"
            raise ValueError(
                f"channels and {key} contradict each other: channels is {self.channels}, but {key} names "
                f"{len(self.names)} ({', '.join(self.names)}); leave one of them out"
            )
        if self.background is not None:
            raise ValueError("background and bands contradict each other: bands are used unchanged, including alpha")
        return self

    @model_validator(mode="after")
    def _black_is_below_white(self) -> "ImageConfig":
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise ValueError(f"value_range must be [black, white] with black below white; given {self.value_range}")
        return self

    @model_validator(mode="after")
    def _window_or_range(self) -> "ImageConfig":
        if self.value_range is not None and self.dicom is not None and self.dicom.window != "full":
            raise ValueError(
                "value_range and dicom.window contradict each other: after a window, values are 0..65535; remove "
                "value_range, or set dicom.window: full"
            )
        return self

    @property
    def dicom_reading(self) -> DicomReading | None:
        """How DICOM files are read; None if the section `dicom` is missing."""
        if self.dicom is None:
            return None
        return DicomReading(self.dicom.window, self.dicom.frame, self.dicom.allow_burned_in, self.value_range)

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
        """Number of the model's input channels."""
        if self.bands is not None:
            return len(self.names)
        return 3 if self.channels is None else self.channels

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the model's channels in order: ('grey',), ('red', 'green', 'blue'), or the (selected) bands."""
        if self.bands is not None:
            mask = self._mask
            return self.select or tuple(name for place, name in enumerate(self.bands) if place != mask)
        return GREY if self.count == 1 else RGB

    @property
    def _mask(self) -> int | None:
        """The place of the mask band among the file's channels, from 0."""
        if not isinstance(self.nodata, MaskBand):
            return None
        band = self.nodata.band
        if isinstance(band, int):
            return band - 1
        return self.bands.index(band) if self.bands and band in self.bands else None

    @property
    def nodata_rule(self) -> Nodata | None:
        """Which values of a file are no data; None: all are data."""
        if self.nodata is None:
            return None
        value = self.nodata if isinstance(self.nodata, float) else None
        seen = None if self.bands is None else tuple(self.bands.index(name) for name in self.names)
        return Nodata(value, self.nodata == "nan", self._mask, seen, self.max_nodata)

    @property
    def white(self) -> int:
        """The largest pixel value: 255 or 65535."""
        return 2**self.bits - 1

    @property
    def dtype(self) -> Literal["uint8", "uint16"]:
        """The pixels' dtype, as named in NumPy and TensorFlow."""
        return "uint8" if self.bits == 8 else "uint16"

    @property
    def background_rgb(self) -> tuple[int, int, int] | None:
        """Red, green and blue of the background, 0..255."""
        return None if self.background is None else _rgb(self.background)

    def as_source(self, size: int) -> "ImageConfig":
        """The input of a source network for the same files: 8-bit red, green and blue, `size` x `size` pixels.

        It uses the bands with these names. Without them, up to four channels count as grey or RGB, with or without
        alpha.
        """
        changes = {"size": size, "bits": 8, "normalise": "source", "channels": 3, "select": None, "store": "none"}
        if self._mask is not None:
            changes |= {"nodata": {"band": self._mask + 1}}  # A name has no meaning without bands.
        if self.bands is not None and set(RGB) <= set(self.bands):
            changes |= {"select": RGB}
        else:
            changes |= {"bands": None}
        return ImageConfig.model_validate(self.model_dump() | changes)

    def requirements(self) -> Requirements:
        """The requirements for files. Ingestion depends only on these, so other changes do not make it run again."""
        channels = None if self.bands is None else len(self.bands)
        given, dicom, nodata = self.value_range is not None, self.dicom_reading, self.nodata_rule
        if self.max_upsampling is None:
            return Requirements(channels, given, dicom=dicom, nodata=nodata)
        return Requirements(
            channels, given, self.max_upsampling, self.height, self.width, self.fit, dicom=dicom, nodata=nodata
        )
