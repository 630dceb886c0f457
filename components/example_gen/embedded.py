"""The images that come with the installation, written out as a user's folder.

Both sets are made of scikit-learn's handwritten digits: 1,797 scans of 8x8 pixels with 17 grey levels, from the test
set of the UCI repository's "Optical Recognition of Handwritten Digits".
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
    """Where the embedded images go that `path` names ("embedded:digits"): a folder of their name; else `path` itself.

    Args:
      path: a section's `path`.
      parent: the folder that holds the embedded images.
    """
    return os.path.join(parent, path.partition(":")[2]) if path in EMBEDDED else path


def write_embedded(path: str, parent: str | os.PathLike) -> None:
    """Writes the embedded images that `path` names into folder/train/<digit>/ and folder/test/<digit>/, once.

    1,437 images are for training and 360 for testing, each class in proportion; which ones never changes, and is the
    same for both sets. The folder appears whole or not at all, so an interrupted call leaves nothing that a later one
    would take for complete.

    Args:
      path: a section's `path`; nothing is written for what is not one of EMBEDDED.
      parent: the folder that holds the embedded images. It is made; images that are there already are left alone.
    """
    folder = Path(embedded_folder(path, parent))
    if path not in EMBEDDED or folder.exists():
        return
    from sklearn.datasets import load_digits  # A second to import.

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
        unfinished.chmod(0o755)  # mkdtemp's folder is for its maker alone.
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():  # Unless another process was faster, and wrote the same.
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


# Writes the image of a number to a path.
_Save = Callable[[int, Path], None]


def _digits(pixels: np.ndarray, in_test: np.ndarray) -> tuple[str, _Save]:
    """The scans as they are: 8-bit grey PNGs."""
    return "digit-{:04d}.png", lambda index, path: Image.fromarray(pixels[index]).save(path)


def _documents(pixels: np.ndarray, in_test: np.ndarray) -> tuple[str, _Save]:
    """Documents made of the scans: TIFFs of four bands, which are named in the file."""
    from restem.example_gen.documents import documents, write_tiff

    images = documents(pixels, in_test)
    return "document-{:04d}.tif", lambda index, path: write_tiff(path, images[index])


_WRITERS = {EMBEDDED_DIGITS: _digits, EMBEDDED_DOCUMENTS: _documents}


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
