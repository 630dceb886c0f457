"""The images that come with the installation: scikit-learn's handwritten digits, written out as a user's folder.

1,797 scans of 8x8 pixels with 17 grey levels, from the test set of the UCI repository's "Optical Recognition of
Handwritten Digits".
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from components.example_gen.listing import TEST, TRAIN

DIGITS_TEST_IMAGES = 360
_MAX_LEVEL = 16


def write_digits(folder: str | os.PathLike) -> None:
    """Writes the digits as 8-bit grey PNGs into folder/train/<digit>/ and folder/test/<digit>/, once.

    1,437 images are for training and 360 for testing, each class in proportion; which ones never changes. The folder
    appears whole or not at all, so an interrupted call leaves nothing that a later one would take for complete.

    Args:
      folder: it is left alone where it exists; its parents are made.
    """
    folder = Path(folder)
    if folder.exists():
        return
    from sklearn.datasets import load_digits  # A second to import.

    digits = load_digits()
    # 0..16 to 0..255: white ink on black, as in the original.
    pixels = np.round(digits.images * (255 / _MAX_LEVEL)).astype(np.uint8)
    test = set(choose_stratified(digits.target, DIGITS_TEST_IMAGES))

    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for index, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
            target = unfinished / (TEST if index in test else TRAIN) / str(label)
            target.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(target / f"digit-{index:04d}.png")
        unfinished.chmod(0o755)  # mkdtemp's folder is for its maker alone.
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():  # Unless another process was faster, and wrote the same.
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def choose_stratified(labels: np.ndarray, count: int) -> list[int]:
    """Chooses `count` of the examples, from each class in proportion, at random but always the same.

    The order is that of a hash, not of a random generator whose stream may change with its version.

    Args:
      labels: int [N].
      count: how many to choose.

    Returns:
      Their positions, sorted.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    shares = sizes * count / len(labels)
    chosen = np.floor(shares).astype(int)
    # The largest remainders get what rounding down left over.
    chosen[np.argsort(-(shares - chosen), kind="stable")[: count - chosen.sum()]] += 1
    indices = []
    for name, size in zip(classes, chosen, strict=True):
        members = np.flatnonzero(labels == name).tolist()
        indices += sorted(members, key=lambda index: hashlib.sha256(str(index).encode()).digest())[:size]
    return sorted(indices)
