"""The configuration sections for the model, its stem and its training."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.section import Section
from restem.stem.spec import StemSpec
from restem.storage import is_remote
from restem.trainer.augment_config import AugmentConfig

Role = Literal["candidate", "baseline"]
PHASES = ("head", "stem", "all")
Backbone = Literal["ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2"]
Source = Literal["auto", "caffe", "tf", "torch", "none"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16", "auto"]
LATEST_APPROVED = "latest_approved"
CHECKPOINT_SUFFIXES = (".h5", ".hdf5", ".keras")
OptimizerName = Literal["adam", "adamw", "sgd", "lion", "rmsprop", "nadam", "adagrad", "adamax", "lamb"]
# The options that each of Keras's optimizers has, beside those that have keys of their own here.
OPTIMIZER_OPTIONS: dict[str, tuple[str, ...]] = {
    "adam": ("beta_1", "beta_2", "epsilon", "amsgrad"),
    "adamw": ("beta_1", "beta_2", "epsilon", "amsgrad"),
    "sgd": ("momentum", "nesterov"),
    "lion": ("beta_1", "beta_2"),
    "rmsprop": ("rho", "momentum", "epsilon", "centered"),
    "nadam": ("beta_1", "beta_2", "epsilon"),
    "adagrad": ("initial_accumulator_value", "epsilon"),
    "adamax": ("beta_1", "beta_2", "epsilon"),
    "lamb": ("beta_1", "beta_2", "epsilon"),
}


class ModelConfig(Section):
    """The network and its initial weights."""

    backbone: Backbone = Field("ResNet50", description="Name of the network in keras.applications.")
    weights: str = Field(
        "imagenet",
        description="Initial weights: 'imagenet' (downloaded by Keras), 'none' (random), 'pretrain' (the pipeline "
        "first trains a stock RGB network, see the section 'pretrain'), or the path of a checkpoint (.weights.h5, .h5 "
        "or .keras). To go on from a pushed model, with its stem and its head: 'latest_approved' (the newest usable "
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
    source: Source = Field(
        "auto",
        description="The preprocessing that the weights were trained with: 'caffe' (blue, green, red; ImageNet's mean "
        "subtracted), 'tf' (-1 to 1), 'torch' (ImageNet's mean and standard deviation), 'none' (0 to 255, unchanged). "
        "'auto' uses the preprocessing recorded in the checkpoint if Restem made it, otherwise the one of "
        "keras.applications: caffe for V1, tf for V2.",
    )

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
    def _source_suits_the_weights(cls, source: Source, info: ValidationInfo) -> Source:
        weights, backbone = info.data.get("weights"), info.data.get("backbone")  # None if invalid
        if weights is not None and _is_pushed_model(weights):
            weights = info.data.get("first_weights")
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
    learning_rate: float = Field(1e-4, gt=0, le=1, description="The peak learning rate.")
    schedule: Literal["cosine", "constant", "step", "plateau"] = Field(
        "cosine",
        description="The learning rate after the warm-up: 'cosine' falls to zero; 'constant' stays; 'step' is divided "
        "by ten after half and after three quarters of the phase; 'plateau' is multiplied by 0.3 after 3 epochs "
        "without a better train.metric on the validation images (without such images: without a lower loss).",
    )
    warm_up: float = Field(
        0.1, ge=0, lt=1, description="The share of the phase's steps in which the learning rate rises to its peak."
    )
    weight_decay: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Decoupled weight decay, as AdamW's, with every optimizer; biases and normalisation do not decay.",
    )


class HeadPhase(PhaseConfig):
    """The head alone."""

    epochs: int = Field(10, ge=0, le=10_000, description="Passes over the training images; 0 skips the phase.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="The peak learning rate.")
    dropout: float = Field(0.0, ge=0, lt=1, description="The share of the features that a step leaves out.")


class NetworkPhase(PhaseConfig):
    """A phase that trains layers of the backbone."""

    lower_layers: float = Field(
        1.0,
        gt=0,
        le=1,
        description="A factor of the learning rate for each stage further down: with 0.5 the last stage learns with "
        "half the head's rate, the one before it with a quarter, and so on to the stem.",
    )


class StemPhase(NetworkPhase):
    """The head and the modified stem."""

    epochs: int = Field(0, ge=0, le=10_000, description="Passes over the training images; 0 skips the phase.")


class AllPhase(NetworkPhase):
    """The whole network."""

    epochs: int = Field(4, ge=0, le=10_000, description="Passes over the training images; 0 skips the phase.")


class CheckpointConfig(Section):
    """Checkpoints of a training: after an interruption it continues from the last one."""

    every: float = Field(
        60.0, ge=0, le=86_400, description="Seconds between two checkpoints; 0 writes one after each step."
    )
    folder: str | None = Field(
        None,
        description="An absolute path, or an address such as gs://bucket/folder, where a restarted step finds them "
        "again. None means the run's own folder; on Kubeflow the folder checkpoints/ of the first volume.",
    )

    @field_validator("folder")
    @classmethod
    def _folder_is_absolute(cls, folder: str | None) -> str | None:
        if folder is None or is_remote(folder) or folder.startswith("/"):
            return folder
        raise RestemError("the path is relative", expected="an absolute path or an address", given=folder)


class TrainConfig(Section):
    """How both the candidate and the baseline are trained."""

    seed: int = Field(0, ge=0, lt=2**31, description="Seed for initial weights and shuffling.")
    repeats: int = Field(
        1,
        ge=1,
        le=100,
        description="How many times candidate and baseline are trained, with the seeds seed, seed + 1, and so on: the "
        "report then shows how much the results depend on the seed. All training takes that many times as long. The "
        "model that is evaluated and pushed is always that of the first seed. The Pretrain step runs once.",
    )
    deterministic: bool = Field(False, description="Bit-identical results for the same seed and machine; slower.")
    batch_size: int = Field(32, ge=1, le=4096, description="Images per step, of all devices and workers together.")
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="How many machines train together; only on Kubeflow, with its training operator. Each uses all its "
        "GPUs (kubeflow.steps.Trainer.gpus). The figures are those of one machine.",
    )
    precision: Precision = Field(
        "float32",
        description="What the network's layers compute in while they are trained: 'float32', or 'mixed_bfloat16' or "
        "'mixed_float16', which are faster and need less memory on suitable GPUs and give slightly different weights. "
        "'auto' takes mixed_bfloat16 on NVIDIA GPUs since Ampere (compute capability 8.0), mixed_float16 since Volta "
        "(7.0), and float32 elsewhere. mixed_float16 is for one device. Weights, stem and head stay float32, as does "
        "the model that is evaluated and exported.",
    )
    optimizer: OptimizerName = Field("adam", description="One of Keras's optimizers, by its name.")
    optimizer_options: dict[str, float | bool] = Field(
        {}, description="Options of that optimizer under Keras's names, as in {momentum: 0.9, nesterov: true}."
    )
    clip_norm: float | None = Field(
        None, gt=0, description="Gradients whose norm, over all weights, is larger are scaled down to it."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="The share of each label that is spread over all classes."
    )
    balance: Literal["none", "weights", "sampling"] = Field(
        "none",
        description="Help for classes with few images: 'weights' lets every class count the same in the loss; "
        "'sampling' shows images of every class equally often. Use one of them where the largest class has three "
        "times the images of the smallest or more.",
    )
    augment: AugmentConfig = Field(
        AugmentConfig(), description="Random changes of the images in the phases stem and all."
    )
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Average the weights over the last steps (exponential moving average) with this momentum, as in "
        "0.999; the averaged weights are validated, kept and exported. null means the weights of the last step.",
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="The weights that are kept: those of the last epoch, or of the one with the best metric on the "
        "validation images (data.val_share).",
    )
    metric: Literal["accuracy", "balanced_accuracy", "loss", "auc"] = Field(
        "accuracy", description="What is measured on the validation images to choose an epoch and to stop early."
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="A phase ends after so many epochs without a better metric on the validation images.",
    )
    checkpoint: CheckpointConfig = Field(CheckpointConfig(), description="Checkpoints of a training in progress.")
    freeze_batch_norm: bool | None = Field(
        None,
        description="Whether the source's BatchNormalization statistics and scales are frozen; null means true for "
        "pretrained weights and false for random ones.",
    )
    head: HeadPhase = Field(HeadPhase(), description="Only the head, on features computed once.")
    stem: StemPhase = Field(StemPhase(), description="The head and the modified stem; the rest is frozen.")
    all: AllPhase = Field(AllPhase(), description="The whole network.")

    @field_validator("augment")
    @classmethod
    def _mixed_images_have_partners(cls, augment: AugmentConfig, info: ValidationInfo) -> AugmentConfig:
        if augment.mixes and info.data.get("batch_size") == 1:
            raise RestemError(
                "mixup and cutmix mix images of the same batch",
                expected="train.batch_size of 2 or more",
                given="1",
                remedy="Raise train.batch_size, or remove mixup and cutmix",
            )
        return augment

    @field_validator("optimizer_options")
    @classmethod
    def _options_are_the_optimizers(cls, options: dict[str, float | bool], info: ValidationInfo) -> dict:
        optimizer = info.data.get("optimizer")  # None where that is wrong itself
        known = OPTIMIZER_OPTIONS.get(str(optimizer), tuple(options))
        unknown = [name for name in options if name not in known]
        if unknown:
            raise RestemError(
                f"the optimizer {optimizer} has no such option",
                expected=f"some of {', '.join(known)}",
                given=", ".join(unknown),
                remedy="The learning rate and the weight decay are keys of each phase, clip_norm is a key of train",
            )
        return options


def refuse_choices_without_validation(config: TrainConfig, *others: str) -> None:
    """Nothing is chosen on test images.

    Args:
      config: the section.
      others: names of other settings that choose.

    Raises:
      RestemError: the configuration asks for a choice that needs validation images.
    """
    asked = [
        *(["train.keep: best"] if config.keep == "best" else []),
        *(["train.patience"] if config.patience else []),
        *others,
    ]
    if asked:
        raise RestemError(
            "there are no validation images, and nothing may be chosen on test images",
            where=" and ".join(asked),
            expected="a split val",
            remedy="Set data.val_share: 0.1, or leave these keys out",
        )


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
    learning_rate: float = Field(1e-3, gt=0, le=1, description="The peak learning rate.")
    colourise: bool = Field(
        False,
        description="Paint grey images in new random colours at every step: dark ink on light paper, shifted by up to "
        "two pixels. This makes a colour source task from grey images.",
    )
