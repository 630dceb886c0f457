"""What happens in each night: new images, other classes, kills. The same for the same seed."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

VERSIONS = 3
CONFIG = f"""
name: soak
data: {{path: "images/night-{{SPAN}}", allow_class_changes: true}}
image: {{size: 16, channels: 1}}
model: {{backbone: ResNet18, weights: none}}
stem: {{cifar: true}}
train:
  batch_size: 32
  head: {{epochs: 1}}
  all: {{epochs: 0}}
evaluate: {{baseline: latest_approved, min_accuracy: 0, min_improvement: -1}}
retention: {{runs: 3, versions: {VERSIONS}, quarantine: 5}}
"""
CLASSES = (3, 4)  # how many digits are told apart; it changes now and then
IMAGES = 24  # of each class
# Shares of the nights.
NEW_IMAGES, OTHER_CLASSES, KILLED, KILLED_CLEANING = 0.25, 0.06, 0.2, 0.2


@dataclass(frozen=True)
class Night:
    """A night.

    Attributes:
      number: from 1.
      new_images: whether a new span arrives.
      classes: how many classes the newest span has.
      kills: when the run is killed, as shares of its usual duration; it is started again after each.
      cleaning_killed: when a `restem clean --yes` is killed, in seconds; None: there is none.
    """

    number: int
    new_images: bool
    classes: int
    kills: tuple[float, ...]
    cleaning_killed: float | None


def year(nights: int, seed: int) -> list[Night]:
    """The nights of a seed."""
    chance = random.Random(seed)
    found: list[Night] = []
    classes = CLASSES[0]
    for number in range(1, nights + 1):
        new = number == 1 or chance.random() < NEW_IMAGES
        if new and number > 1 and chance.random() < OTHER_CLASSES / NEW_IMAGES:
            classes = sum(CLASSES) - classes
        kills = []
        while number > 1 and chance.random() < KILLED:
            kills.append(chance.uniform(0.05, 1.05))
        cleaning = chance.uniform(0.3, 1.8) if chance.random() < KILLED_CLEANING else None
        found.append(Night(number, new, classes, tuple(kills), cleaning))
    return found


def write_span(folder: Path, night: Night, seed: int) -> None:
    """Writes the images that arrive in a night: other digits than in the nights before."""
    digits = load_digits()
    chance = np.random.default_rng([seed, night.number])
    for digit in range(night.classes):
        target = folder / f"night-{night.number}" / str(digit)
        target.mkdir(parents=True, exist_ok=True)  # an interrupted night is repeated
        for index in chance.choice(np.flatnonzero(digits.target == digit), IMAGES, replace=False):
            Image.fromarray((digits.images[index] * 15.9).astype(np.uint8)).save(target / f"{index}.png")
