"""The configuration section for the random changes of images in training."""

from pydantic import Field

from restem.section import Section


class AugmentConfig(Section):
    """Random changes of the images in training; never in validation, evaluation and serving. All are off by default."""

    flip_horizontal: bool = Field(False, description="Mirror images left to right: only if that keeps the class.")
    flip_vertical: bool = Field(False, description="Mirror images top to bottom: only if that keeps the class.")
    quarter_turns: bool = Field(False, description="Turn square images by 0, 90, 180 or 270 degrees.")
    rotation: float = Field(0.0, ge=0, le=180, description="Rotate by up to so many degrees, either way.")
    translation: float = Field(0.0, ge=0, le=0.5, description="Shift by up to this share of the width and height.")
    zoom: float = Field(0.0, ge=0, lt=1, description="Zoom in and out by up to this share.")
    brightness: float = Field(
        0.0, ge=0, le=1, description="Make each band brighter or darker, by up to this share of white."
    )
    contrast: float = Field(0.0, ge=0, le=1, description="Change the contrast of each band by up to this share.")
    noise: float = Field(0.0, ge=0, le=1, description="Add normal noise: its standard deviation as a share of white.")
    erasing: float = Field(0.0, ge=0, le=1, description="The share of the images in which a rectangle is replaced.")
    mixup: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Blend each image, and its label, with another image of the batch: alpha of the Beta distribution "
        "of the shares. 0.2 mixes most images a little, 1 gives any share alike; 0 is off.",
    )
    cutmix: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Paste a rectangle of another image of the batch into each image, and mix the labels by area: "
        "alpha of the Beta distribution of the areas; 0 is off. With mixup, each batch takes one of the two.",
    )

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with others, so that they have several labels."""
        return bool(self.mixup or self.cutmix)

    @property
    def on(self) -> bool:
        """Whether anything is changed."""
        return any(self.model_dump().values())
