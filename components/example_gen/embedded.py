"""Writes the datasets that are included in the installation as folders of images.

Both are made from scikit-learn's handwritten digits: 1,797 scans of 8x8 pixels with 17 grey levels, from the test set
of the UCI repository's "Optical Recognition of Handwritten Digits".
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from restem.example_gen.config import EMBEDDED, EMBEDDED_DIGITS, EMBEDDED_DOCUMENTS
from restem.example_gen.dataset import TEST, TRAIN

TEST_IMAGES = 360
_MAX_LEVEL = 16


def embedded_folder(path: str, parent: str | os.PathLike) -> str:
    """The folder for the embedded images if `path` names them ("embedded:digits"); otherwise `path` itself.

    Args:
      path: a section's `path`.
      parent: the parent folder of the embedded datasets.
    """
    return os.path.join(parent, path.partition(":")[2]) if path in EMBEDDED else path


def write_embedded(path: str, parent: str | os.PathLike) -> str:
    """Writes the embedded images that `path` names to folder/train/<digit>/ and folder/test/<digit>/, once.

    1,437 images are for training and 360 for testing, with each class in proportion. The choice never changes and is
    the same for both datasets. The folder appears only when it is complete, so an interrupted call leaves no partial
    dataset.

    Args:
      path: a section's `path`; if it is not in EMBEDDED, nothing is written.
      parent: the parent folder of the embedded datasets. It is created if missing; existing images are not changed.

    Returns:
      `embedded_folder(path, parent)`.
    """
    folder = Path(embedded_folder(path, parent))
    if path not in EMBEDDED or folder.exists():
        return embedded_folder(path, parent)
    from sklearn.datasets import load_digits  # takes a second to import

    digits = load_digits()
    # 0..16 to 0..255: white ink on black, as in the original.
    pixels = np.round(digits.images * (255 / _MAX_LEVEL)).astype(np.uint8)
    in_test = np.zeros(len(pixels), bool)
    in_test[choose_stratified(digits.target, TEST_IMAGES)] = True
    name, save = _WRITERS[path](pixels, in_test)

    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for index, label in enumerate(digits.target):
            target = unfinished / (TEST if in_test[index] else TRAIN) / str(label)
            target.mkdir(parents=True, exist_ok=True)
            save(index, target / name.format(index))
        unfinished.chmod(0o755)  # mkdtemp's folder is readable only by its owner.
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():  # If it exists, another process was faster and wrote the same.
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return str(folder)


# Writes the image with this index to a path.
_Save = Callable[[int, Path], None]


def _digits(pixels: np.ndarray, in_test: np.ndarray) -> tuple[str, _Save]:
    """The unchanged scans as 8-bit grey PNGs."""
    return "digit-{:04d}.png", lambda index, path: Image.fromarray(pixels[index]).save(path)


def _documents(pixels: np.ndarray, in_test: np.ndarray) -> tuple[str, _Save]:
    """Documents made from the scans: TIFFs with four bands, which are named in the file."""
    from restem.example_gen.documents import documents, write_tiff

    images = documents(pixels, in_test)
    return "document-{:04d}.tif", lambda index, path: write_tiff(path, images[index])


_WRITERS = {EMBEDDED_DIGITS: _digits, EMBEDDED_DOCUMENTS: _documents}


def choose_stratified(labels: np.ndarray, count: int) -> list[int]:
    """Chooses `count` examples, from each class in proportion, pseudo-randomly but always the same.

    A hash gives the order, because a random generator's stream may change with its version.

    Args:
      labels: int [N].
      count: how many to choose.

    Returns:
      Their indices, sorted.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    shares = sizes * count / len(labels)
    chosen = np.floor(shares).astype(int)
    # The classes with the largest remainders get the rest after rounding down.
    chosen[np.argsort(-(shares - chosen), kind="stable")[: count - chosen.sum()]] += 1
    indices = []
    for name, size in zip(classes, chosen, strict=True):
        members = np.flatnonzero(labels == name).tolist()
        indices += sorted(members, key=lambda index: hashlib.sha256(str(index).encode()).digest())[:size]
    return sorted(indices)
