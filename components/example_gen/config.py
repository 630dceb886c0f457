"""The configuration's section for where the images are and what becomes of bad ones."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

EMBEDDED_DIGITS = "embedded:digits"


class DataConfig(BaseModel):
    """Where the images are, how they are laid out, and what is tolerated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(
        min_length=1,
        description="A folder of images, or 'embedded:digits': scikit-learn's 1,797 handwritten digits.",
    )
    layout: Literal["folders"] = Field(
        "folders",
        description="'folders': a folder for each class, named like the class, either directly in the path or inside "
        "its sub-folders train and test.",
    )
    test_share: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="The share of the images that are kept for testing, where there are no sub-folders train and test. "
        "A hash of its path decides for each file, so it never changes sides when others come or go.",
    )
    max_quarantined: float = Field(
        0.05,
        ge=0,
        le=1,
        description="The share of files that may be unreadable; more of them stop the run.",
    )
    max_pixels: int = Field(
        100_000_000, ge=1, description="Images of more pixels (width x height) are refused before they are decoded."
    )
    max_bytes: int = Field(
        256 * 2**20, ge=1, le=2**31 - 1, description="Larger files (in bytes) are refused before they are read."
    )
