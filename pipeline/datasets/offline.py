"""What `restem init` proposes where ImageNet's weights cannot be had: a training that ends in about an hour.

Without a pretrained source, the pipeline trains one on the user's own images (model.weights: pretrain). On two cores
that takes days at 224 pixels, so the size follows from the speed of this machine.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

BACKBONE = "ResNet50"
MOST_MINUTES = 60.0
SIZES = (160, 128, 96, 64, 48, 32)  # pixels of the shorter side
PASSES_OF = 40_000  # images that pretraining sees, within these epochs
FEWEST_EPOCHS, MOST_EPOCHS = 10, 40

# Heights and widths -> seconds of one image in a pass of training.
Measure = Callable[[Sequence[tuple[int, int]]], list[float]]


@dataclass(frozen=True)
class Offline:
    """The plan.

    Attributes:
      reason: why ImageNet's weights cannot be had.
      height, width: the images' size in pixels.
      epochs: of pretraining.
      minutes: that all trainings take at this size.
      full_minutes: that they would take at the images' own size.
    """

    reason: str
    height: int
    width: int
    epochs: int
    minutes: float
    full_minutes: float


def plan(reason: str, images: int, epochs: int, height: int, width: int, measure: Measure) -> Offline:
    """The largest size at which pretraining, candidate and baseline end within `MOST_MINUTES`, else the smallest.

    Args:
      reason: why ImageNet's weights cannot be had.
      images: for training.
      epochs: of the candidate, and of the baseline.
      height, width: the images' own size, at most the source's.
      measure: called once, with this size and the smallest one. Between them the time grows with the area.
    """
    shorter = min(height, width)
    smaller = [size for size in SIZES if size < shorter]
    options = [(height, width), *((round(height * size / shorter), round(width * size / shorter)) for size in smaller)]
    pretraining = min(MOST_EPOCHS, max(FEWEST_EPOCHS, math.ceil(PASSES_OF / max(1, images))))
    passes = pretraining + 2 * epochs
    ends = options[:1] if len(options) == 1 else [options[0], options[-1]]
    seconds = measure(ends)
    areas = [one[0] * one[1] for one in ends]
    slope = 0.0 if len(ends) == 1 else max(0.0, (seconds[0] - seconds[1]) / (areas[0] - areas[1]))

    def minutes(option: tuple[int, int]) -> float:
        return images * passes * (seconds[-1] + slope * (option[0] * option[1] - areas[-1])) / 60

    chosen = next((option for option in options if minutes(option) <= MOST_MINUTES), options[-1])
    return Offline(reason, *chosen, pretraining, minutes(chosen), minutes(options[0]))


def model_lines(offline: Offline) -> list[str]:
    """The sections `model` and `pretrain`."""
    slow = offline.minutes > 2 * MOST_MINUTES
    return [
        "model:",
        f"  backbone: {BACKBONE}  # the smallest; ResNet101 and 152 take two and three times as long",
        f"  weights: pretrain  # ImageNet's weights are not here and cannot be downloaded ({offline.reason}); better: "
        "copy Keras's file from a machine that has it, and set imagenet",
        "",
        "pretrain:  # the source network, trained on your own images first",
        f"  epochs: {offline.epochs}  # measured on a few steps: all trainings take about "
        f"{_time(offline.minutes)} on this machine"
        + ("; it needs a GPU, more cores, or a checkpoint from elsewhere" if slow else ""),
    ]


def size_reason(offline: Offline, height: int) -> str | None:
    """Why the size is smaller than the images' own; None if it is not."""
    if offline.height == height:
        return None
    return f"at {height} pixels all trainings would take about {_time(offline.full_minutes)} on this machine"


def _time(minutes: float) -> str:
    if minutes < 100:
        return f"{max(1, round(minutes))} minutes"
    return f"{round(minutes / 60)} hours" if minutes < 48 * 60 else f"{round(minutes / 60 / 24)} days"
