"""The configuration's sections for the model, its stem and its training."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.section import Section
from restem.stem.spec import StemSpec

Role = Literal["candidate", "baseline"]
Backbone = Literal["ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2"]
Source = Literal["auto", "caffe", "tf", "torch", "none"]


class ModelConfig(Section):
    """Which network, and what it already knows."""

    backbone: Backbone = Field("ResNet50", description="The network, by its name in keras.applications.")
    weights: str = Field(
        "imagenet",
        description="Where its knowledge comes from: 'imagenet' (downloaded by Keras), 'none' (random), 'pretrain' "
        "(the pipeline trains a stock RGB network first, see the section 'pretrain'), or the path of a checkpoint "
        "(.weights.h5, .h5 or .keras).",
        min_length=1,
    )
    source: Source = Field(
        "auto",
        description="The preprocessing that the weights were trained with: 'caffe' (blue, green, red, ImageNet's mean "
        "subtracted), 'tf' (-1 to 1), 'torch' (ImageNet's mean and standard deviation), 'none' (0 to 255 as they are). "
        "'auto': what the checkpoint says of itself, if Restem made it, and else what keras.applications trains this "
        "backbone with: caffe for V1, tf for V2.",
    )

    @field_validator("source")
    @classmethod
    def _source_suits_the_weights(cls, source: Source, info: ValidationInfo) -> Source:
        weights, backbone = info.data.get("weights"), info.data.get("backbone")  # None where that is wrong itself
        keras_source = "tf" if str(backbone).endswith("V2") else "caffe"
        if source in ("auto", keras_source) or weights not in ("imagenet", "pretrain"):
            return source
        who = "Keras's ImageNet weights are" if weights == "imagenet" else "The Pretrain step's network is"
        raise RestemError(
            f"{who} trained with the preprocessing {keras_source!r} for {backbone}",
            expected=f"auto or {keras_source}",
            given=source,
            remedy="Leave model.source out; it is for checkpoints of your own",
        )


class StemConfig(Section):
    """What becomes of the first convolution: StemSpec's fields under their own names.

    Its `channels`, `bands` and `value_range` follow from the section 'image'.
    """

    extra_bands: Literal["zero", "mean"] = Field(
        "zero",
        description="Where the kernels of bands start that the source does not have (image.bands other than red, green "
        "and blue): 'zero' keeps the source's function exactly, and the band is learned; 'mean', the mean of the "
        "pretrained kernels, lets the network see the band from the start, which changes the function. 'mean' suits "
        "bands that look like the colours do, as near infrared does.",
    )
    kernel: int | None = Field(
        None, ge=1, le=31, description="Side of the new stem's square kernel in pixels; null keeps 7."
    )
    shrink: Literal["least_squares", "pseudo_inverse", "bilinear", "crop"] = Field(
        "least_squares",
        description="How a kernel is made smaller: 'least_squares' (nearest output on the training images), "
        "'pseudo_inverse' (FlexiViT's resize), 'bilinear', 'crop'.",
    )
    filters: int | None = Field(None, ge=1, le=8192, description="Filters of the new stem; null keeps 64.")
    noise: float = Field(
        0.25,
        ge=0,
        le=10,
        description="With more filters: standard deviation of the zero-sum noise that tells the copies of a filter "
        "apart, as a share of that of the kernels that read them. 0 leaves copies that learn the same for ever.",
    )
    narrow: Literal["least_squares", "mean", "drop"] = Field(
        "least_squares",
        description="With fewer filters: 'least_squares' refits the layers that read them on the training images, "
        "'mean' folds the removed filters' means into biases, 'drop' removes them.",
    )
    batch_norm: bool = Field(False, description="An extra BatchNormalization right after the first convolution.")
    small_images: bool = Field(
        False,
        description="The exact small-image stem (4x4, stride 1): equal to the source network on images enlarged "
        "twofold. For images of about half the size the source was trained on, or smaller.",
    )
    stride: Literal[1, 2] | None = Field(
        None, description="Stride of the first convolution; 1 keeps the shapes of the weights, not the function."
    )
    pool: bool = Field(True, description="false removes the stem's max pool, which does not keep the function.")
    deep: bool = Field(
        False,
        description="Three 3x3 convolutions in place of one (ResNet-C and -D), the last fitted to the old stem's "
        "output on the training images; does not keep the function.",
    )
    deep_filters: tuple[int, int] | None = Field(
        None, description="Filters of a deep stem's first two convolutions; null: half of the last one's, twice."
    )
    cifar: bool = Field(
        False,
        description="The stem of the CIFAR ResNets: kernel 3, stride 1, no pool; does not keep the function. "
        "small_images is the exact form for small images.",
    )
    normalise: Literal["source", "statistics"] = Field(
        "source",
        description="'source' gives red, green and blue the constants that the source was trained with; 'statistics' "
        "brings every band in band_statistics to the mean and standard deviation of the source's training images.",
    )
    band_statistics: dict[str, tuple[float, float]] | None = Field(
        None,
        description="Mean and standard deviation of bands, as in {nir: [120, 31.5]}, in the values that the model sees "
        "(0..255, or 0..65535 with image.bits: 16). They serve the bands that the source does not have, and with "
        "normalise: statistics all of them. Left out with normalise: statistics, they are measured on the training "
        "images.",
    )

    @property
    def measured(self) -> bool:
        """Whether the statistics of the bands are to be measured on the training images."""
        return self.normalise == "statistics" and self.band_statistics is None


def stem_spec(
    stem: StemConfig,
    image: ImageConfig,
    *,
    value_range: tuple[float, float] | None = None,
    measured: Mapping[str, tuple[float, float]] | None = None,
) -> StemSpec:
    """The stem that the sections `stem` and `image` ask for.

    Args:
      stem: the section.
      image: what the model sees.
      value_range: the pixel values that mean black and white; none: 0 and image.white.
      measured: mean and standard deviation by the channel's name; needed where `stem.measured`.

    Raises:
      StemError: a name that no band can have, or fields that exclude each other.
    """
    make = StemSpec.cifar if stem.cifar else StemSpec
    return make(
        **stem.model_dump(exclude={"cifar", "band_statistics"}),
        channels=image.count,
        bands=image.names if image.bands else None,
        value_range=value_range or (0.0, float(image.white)),
        band_statistics=measured if stem.measured else stem.band_statistics,
    )


class PhaseConfig(Section):
    """One phase of training."""

    epochs: int = Field(ge=0, le=10_000, description="Passes over the training images; 0 skips the phase.")
    learning_rate: float = Field(
        1e-4, gt=0, le=1, description="Adam's peak learning rate (warm-up, then cosine decay)."
    )


class HeadPhase(PhaseConfig):
    """The head alone."""

    epochs: int = Field(10, ge=0, le=10_000, description="Passes over the training images; 0 skips the phase.")
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="Adam's peak learning rate (warm-up, then cosine decay)."
    )


class StemPhase(PhaseConfig):
    """The head and the modified stem."""

    epochs: int = Field(0, ge=0, le=10_000, description="Passes over the training images; 0 skips the phase.")


class AllPhase(PhaseConfig):
    """The whole network."""

    epochs: int = Field(4, ge=0, le=10_000, description="Passes over the training images; 0 skips the phase.")


class TrainConfig(Section):
    """How the candidate and the baseline are trained: alike."""

    seed: int = Field(0, ge=0, lt=2**31, description="Seed of initial weights and shuffling.")
    deterministic: bool = Field(False, description="Bit-identical results for the same seed and machine; slower.")
    batch_size: int = Field(32, ge=1, le=4096, description="Images a step.")
    freeze_batch_norm: bool | None = Field(
        None,
        description="Whether the source's BatchNormalization statistics and scales stay as they are; none means: yes "
        "where the weights are pretrained, no where they are random.",
    )
    head: HeadPhase = Field(HeadPhase(), description="The head alone, on features computed once.")
    stem: StemPhase = Field(StemPhase(), description="The head and the modified stem; the rest is frozen.")
    all: AllPhase = Field(AllPhase(), description="The whole network.")


class PretrainConfig(Section):
    """The source network that `model.weights: pretrain` and `restem pretrain` train: stock, three channels."""

    path: str | None = Field(None, description="The folder of images; none means data.path. Only train/ is used.")
    size: int | None = Field(None, ge=32, le=4096, description="Height and width in pixels; none means image.size.")
    epochs: int | None = Field(None, ge=1, le=10_000, description="Passes; none means train.all.epochs.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Adam's peak learning rate.")
    colourise: bool = Field(
        False,
        description="Paint grey images anew at every step: a dark random background, brighter random ink, shifts of "
        "up to two pixels. Makes a colour source task out of grey images.",
    )
