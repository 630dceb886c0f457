"""The configuration sections for the model, its stem and its training."""

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
    """The network and its initial weights."""

    backbone: Backbone = Field("ResNet50", description="Name of the network in keras.applications.")
    weights: str = Field(
        "imagenet",
        description="Initial weights: 'imagenet' (downloaded by Keras), 'none' (random), 'pretrain' (the pipeline "
        "first trains a stock RGB network, see the section 'pretrain'), or the path of a checkpoint (.weights.h5, .h5 "
        "or .keras).",
        min_length=1,
    )
    source: Source = Field(
        "auto",
        description="The preprocessing that the weights were trained with: 'caffe' (blue, green, red; ImageNet's mean "
        "subtracted), 'tf' (-1 to 1), 'torch' (ImageNet's mean and standard deviation), 'none' (0 to 255, unchanged). "
        "'auto' uses the preprocessing recorded in the checkpoint if Restem made it, otherwise the one of "
        "keras.applications: caffe for V1, tf for V2.",
    )

    @field_validator("source")
    @classmethod
    def _source_suits_the_weights(cls, source: Source, info: ValidationInfo) -> Source:
        weights, backbone = info.data.get("weights"), info.data.get("backbone")  # None if invalid
        keras_source = "tf" if str(backbone).endswith("V2") else "caffe"
        if source in ("auto", keras_source) or weights not in ("imagenet", "pretrain"):
            return source
        who = "Keras's ImageNet weights are" if weights == "imagenet" else "The Pretrain step's network is"
        raise RestemError(
            f"{who} trained with the preprocessing {keras_source!r} for {backbone}",
            expected=f"auto or {keras_source}",
            given=source,
            remedy="Remove model.source; it is only for your own checkpoints",
        )


class StemConfig(Section):
    """How the first convolution changes: the fields of StemSpec under the same names.

    StemSpec's `channels`, `bands` and `value_range` come from the section 'image'.
    """

    extra_bands: Literal["zero", "mean"] = Field(
        "zero",
        description="Initial kernels of bands that the source does not have (image.bands other than red, green and "
        "blue). 'zero' keeps the source's function exactly, and training learns the band. 'mean' (the mean of the "
        "pretrained kernels) uses the band from the start, which changes the function; it suits bands that look "
        "similar to the colours, such as near infrared.",
    )
    kernel: int | None = Field(
        None, ge=1, le=31, description="Side length of the new stem's square kernel in pixels; null keeps 7."
    )
    shrink: Literal["least_squares", "pseudo_inverse", "bilinear", "crop"] = Field(
        "least_squares",
        description="How a kernel is made smaller: 'least_squares' (closest output on the training images), "
        "'pseudo_inverse' (FlexiViT's resize), 'bilinear', 'crop'.",
    )
    filters: int | None = Field(None, ge=1, le=8192, description="Number of filters of the new stem; null keeps 64.")
    noise: float = Field(
        0.25,
        ge=0,
        le=10,
        description="With more filters: standard deviation of the zero-sum noise that makes the copies of a filter "
        "differ, relative to that of the kernels that read them. With 0 the copies stay identical during training.",
    )
    narrow: Literal["least_squares", "mean", "drop"] = Field(
        "least_squares",
        description="With fewer filters: 'least_squares' refits the layers that read them on the training images, "
        "'mean' folds the removed filters' means into biases, 'drop' removes them.",
    )
    batch_norm: bool = Field(False, description="An extra BatchNormalization directly after the first convolution.")
    small_images: bool = Field(
        False,
        description="The exact stem for small images (4x4, stride 1): it computes what the source network computes on "
        "the images enlarged twofold. For images of at most about half the size the source was trained on.",
    )
    stride: Literal[1, 2] | None = Field(
        None, description="Stride of the first convolution; 1 keeps the shapes of the weights but changes the function."
    )
    pool: bool = Field(True, description="false removes the stem's max pooling, which changes the function.")
    deep: bool = Field(
        False,
        description="Three 3x3 convolutions instead of one (ResNet-C and -D). The last is fitted to the old stem's "
        "output on the training images. This changes the function.",
    )
    deep_filters: tuple[int, int] | None = Field(
        None, description="Filters of a deep stem's first two convolutions; null means half as many as the last one."
    )
    cifar: bool = Field(
        False,
        description="The stem of the CIFAR ResNets: kernel 3, stride 1, no pooling. This changes the function; "
        "small_images is the exact alternative.",
    )
    normalise: Literal["source", "statistics"] = Field(
        "source",
        description="'source' normalises red, green and blue with the constants that the source was trained with; "
        "'statistics' scales every band in band_statistics to the mean and standard deviation of the source's "
        "training images.",
    )
    band_statistics: dict[str, tuple[float, float]] | None = Field(
        None,
        description="Mean and standard deviation of bands, e.g. {nir: [120, 31.5]}, in the values that the model sees "
        "(0..255, or 0..65535 with image.bits: 16). They apply to the bands that the source does not have; with "
        "normalise: statistics, to all bands. If omitted with normalise: statistics, they are measured on the "
        "training images.",
    )

    @property
    def measured(self) -> bool:
        """Whether the statistics of the bands are measured on the training images."""
        return self.normalise == "statistics" and self.band_statistics is None


def stem_spec(
    stem: StemConfig,
    image: ImageConfig,
    *,
    value_range: tuple[float, float] | None = None,
    measured: Mapping[str, tuple[float, float]] | None = None,
) -> StemSpec:
    """The StemSpec for the sections `stem` and `image`.

    Args:
      stem: the section.
      image: the section.
      value_range: the pixel values of black and white; None means 0 and image.white.
      measured: mean and standard deviation by channel name; required if `stem.measured`.

    Raises:
      StemError: a band name is invalid, or fields exclude each other.
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
    """Only the head."""

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
    """How both the candidate and the baseline are trained."""

    seed: int = Field(0, ge=0, lt=2**31, description="Seed for initial weights and shuffling.")
    deterministic: bool = Field(False, description="Bit-identical results for the same seed and machine; slower.")
    batch_size: int = Field(32, ge=1, le=4096, description="Images per step.")
    freeze_batch_norm: bool | None = Field(
        None,
        description="Whether the source's BatchNormalization statistics and scales are frozen; null means true for "
        "pretrained weights and false for random ones.",
    )
    head: HeadPhase = Field(HeadPhase(), description="Only the head, on features computed once.")
    stem: StemPhase = Field(StemPhase(), description="The head and the modified stem; the rest is frozen.")
    all: AllPhase = Field(AllPhase(), description="The whole network.")


class PretrainConfig(Section):
    """The stock three-channel source network that `model.weights: pretrain` and `restem pretrain` train."""

    path: str | None = Field(None, description="Folder of images; null means data.path. Only train/ is used.")
    size: int | None = Field(
        None,
        ge=32,
        le=4096,
        description="Height and width in pixels; null means the height in image.size, but at least 32.",
    )
    epochs: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Passes over the training images; null means train.all.epochs, but at least 1.",
    )
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Adam's peak learning rate.")
    colourise: bool = Field(
        False,
        description="Paint grey images in new random colours at every step: dark ink on light paper, shifted by up to "
        "two pixels. This makes a colour source task from grey images.",
    )
