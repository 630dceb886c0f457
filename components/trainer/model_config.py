"""The configuration sections for the network and its stem."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.section import NUMBER, Section
from restem.stem.spec import OTHER_BACKBONES, StemSpec
from restem.trainer.source_config import SourceBands, SourceChoice, SourceName, source_text

Role = Literal["candidate", "baseline"]
Backbone = Literal[
    "ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2", "ResNet18", "ResNet26", "ResNet34"
]
LATEST_APPROVED = "latest_approved"
CHECKPOINT_SUFFIXES = (".h5", ".hdf5", ".keras", ".safetensors", ".pth", ".pt", ".ckpt")
# The remedy where a training cannot go on from a pushed model.
AGAIN = (
    "Set model.weights to a source (imagenet, none, or a checkpoint) for one run; a later run can go on from the model "
    "that it pushes"
)


def keras_convention(backbone: str) -> str:
    """The preprocessing of Keras's own weights, and of the Pretrain step's."""
    return "tf" if backbone.endswith("V2") else "caffe"


class ModelConfig(Section):
    """The network and its initial weights."""

    backbone: Backbone = Field(
        "ResNet50",
        description="Name of the network. Keras has no ImageNet weights of ResNet18, 26 and 34: give model.weights.",
    )
    weights: str = Field(
        "imagenet",
        description="Initial weights: 'imagenet' (downloaded by Keras), 'none' (random), 'pretrain' (the pipeline "
        "first trains a stock RGB network, see the section 'pretrain'), or the path of a checkpoint: .weights.h5, .h5 "
        "or .keras of Keras, .safetensors or .pth of torchvision or timm, model.weights.h5 in the folder of a KerasHub "
        "preset. To go on from a pushed model, with its stem and its head: 'latest_approved' (the newest usable "
        "version under push.destination; while there is none, first_weights), the folder of a pushed model, or a "
        "folder of versions, whose newest is taken.",
        min_length=1,
    )
    first_weights: str = Field(
        "imagenet",
        description="Only if weights is latest_approved or a folder: the initial weights where there is no model to go "
        "on from, that is, of the candidate while nothing is approved, and of a stock baseline: 'imagenet', 'none', or "
        "the path of a checkpoint.",
        min_length=1,
    )
    drop_classes: bool = Field(
        False,
        description="Only if weights is latest_approved or a folder: whether classes that the pushed model has and the "
        "data do not have are removed from it. By default they stop the run.",
    )
    source: SourceChoice = Field(
        "auto",
        description="The preprocessing that the weights were trained with: 'caffe' (blue, green, red; ImageNet's mean "
        "subtracted), 'tf' (-1 to 1), 'torch' (ImageNet's mean and standard deviation), 'none' (0 to 255, unchanged), "
        "'unit' (0 to 1), 'radimagenet' (as caffe, then divided by 255), all of them red, green, blue unless said "
        "otherwise; or, for other channels, a section: bands (their names in the network's order), scale and offset "
        "(source's input = scale * raw + offset, raw 0..255), and perhaps mean and std of its training images. 'auto' "
        "uses what the checkpoint says, otherwise the convention of keras.applications: caffe for V1, tf for V2.",
    )

    @model_validator(mode="after")
    def _keras_has_the_weights(self) -> "ModelConfig":
        if self.source_weights == "imagenet" and self.backbone in OTHER_BACKBONES:
            key = "first_weights" if self.continues else "weights"
            raise RestemError(
                f"Keras has no ImageNet weights of {self.backbone}",
                expected=f"{key}: none, or the path of a checkpoint of it",
                given=f"{key}: imagenet",
                remedy="Give a file of torchvision's or timm's: where PyTorch is installed, "
                f"safetensors.torch.save_file(timm.create_model('{self.backbone.lower()}', pretrained=True)"
                f".state_dict(), '{self.backbone.lower()}.safetensors')",
            )
        return self

    @property
    def continues(self) -> bool:
        """Whether the training goes on from a pushed model, if there is one."""
        return _is_pushed_model(self.weights)

    @property
    def source_weights(self) -> str:
        """The initial weights of a network that does not go on from a pushed model."""
        return self.first_weights if self.continues else self.weights

    @field_validator("first_weights")
    @classmethod
    def _first_weights_are_a_source(cls, first: str, info: ValidationInfo) -> str:
        weights = info.data.get("weights")
        if weights is not None and not _is_pushed_model(weights) and first != "imagenet":
            raise RestemError(
                "first_weights has no effect with these weights",
                expected="weights: latest_approved, or the folder of a pushed model",
                given=f"weights: {weights}",
                remedy="Remove first_weights, or set weights: latest_approved",
            )
        if first == "pretrain":
            raise RestemError(
                "the Pretrain step would train a source in every run, also in those that go on from a model",
                expected="imagenet, none, or the path of a checkpoint",
                given=first,
                remedy="Train the source once: restem pretrain --config F --out FILE.weights.h5, and set its path here",
            )
        if _is_pushed_model(first):
            raise RestemError(
                "this is not a source for a first training",
                expected=f"imagenet, none, or the path of a checkpoint ({', '.join(CHECKPOINT_SUFFIXES)})",
                given=first,
            )
        return first

    @field_validator("drop_classes")
    @classmethod
    def _only_a_model_has_classes_to_drop(cls, drop: bool, info: ValidationInfo) -> bool:
        weights = info.data.get("weights")
        if drop and weights is not None and not _is_pushed_model(weights):
            raise RestemError(
                "drop_classes has no effect with these weights: they have no classes",
                expected="weights: latest_approved, or the folder of a pushed model",
                given=f"weights: {weights}",
                remedy="Remove drop_classes",
            )
        return drop

    @field_validator("source")
    @classmethod
    def _source_suits_the_weights(cls, source: SourceName | SourceBands, info: ValidationInfo) -> Any:
        weights, backbone = info.data.get("weights"), info.data.get("backbone")  # None if invalid
        if weights is not None and _is_pushed_model(weights):
            weights = info.data.get("first_weights")
        keras_source = keras_convention(str(backbone))
        if source in ("auto", keras_source) or weights not in ("imagenet", "pretrain"):
            return source
        who = "Keras's ImageNet weights are" if weights == "imagenet" else "The Pretrain step's network is"
        raise RestemError(
            f"{who} trained with the preprocessing {keras_source!r} for {backbone}",
            expected=f"auto or {keras_source}",
            given=source_text(source),
            remedy="Remove model.source; it is only for your own checkpoints",
        )


def _is_pushed_model(weights: str) -> bool:
    """Whether a value of `model.weights` names a pushed model: it is no keyword of a source, and no checkpoint."""
    return weights not in ("imagenet", "none", "pretrain") and not weights.endswith(CHECKPOINT_SUFFIXES)


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
    stride: Annotated[Literal[1, 2] | None, NUMBER] = Field(
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
