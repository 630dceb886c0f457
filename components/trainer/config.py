"""The configuration's sections for the model, its stem and its training."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["candidate", "baseline"]
Backbone = Literal["ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2"]


class Section(BaseModel):
    """What all sections share: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class StemConfig(Section):
    """What becomes of the first convolution. Channels come from the section 'image'."""

    kernel: int | None = Field(None, ge=1, le=31, description="Kernel size of the new stem; none keeps 7.")
    filters: int | None = Field(None, ge=1, le=1024, description="Filters of the new stem; none keeps 64.")
    batch_norm: bool = Field(False, description="An extra BatchNormalization right after the first convolution.")
    small_images: bool = Field(
        False,
        description="The exact small-image stem (4x4, stride 1): equal to the source network on images enlarged "
        "twofold. For images of about half the size the source was trained on, or smaller.",
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
