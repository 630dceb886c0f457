"""The configuration sections for training."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from restem.errors import RestemError
from restem.section import Section
from restem.storage import is_remote
from restem.trainer.augment_config import AugmentConfig

PHASES = ("head", "stem", "all")
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16", "auto"]
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
