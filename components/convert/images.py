"""The images of the run that made a model, read as its ingestion read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from restem.convert.network import Pixels
from restem.errors import RestemError
from restem.example_gen.dataset import ExampleFields, Refused
from restem.example_gen.listing import check_listing
from restem.example_gen.reading import ImageReader, limits_of
from restem.images.graph.preprocess import preprocess

BATCH = 32
_FEATURES = {
    "image_bytes": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.string),
}


@dataclass(frozen=True, eq=False)
class Batch:
    """Some images.

    Attributes:
      encoded: as a client sends them.
      pixels: float32 [N, height, width, channels].
      labels: int64 [N], indices into the model's classes.
    """

    encoded: list[bytes]
    pixels: np.ndarray
    labels: np.ndarray


class Images:
    """The images that a model was made with, or others in the same layout."""

    def __init__(self, pushed: Pixels, path: str | None, scratch: str) -> None:
        """Lists them.

        Args:
          pushed: the model.
          path: their file or folder; None: that of the run.
          scratch: a folder for unpacked TFRecord files.

        Raises:
          RestemError: there are none, or their classes are not those of the model.
        """
        self._pushed = pushed
        path = path or pushed.data.path
        self._listing = check_listing(path, pushed.data, scratch=scratch)
        if not set(self._listing.classes) <= set(pushed.classes):
            raise RestemError(
                "the images have other classes than the model",
                where=path,
                expected=", ".join(pushed.classes),
                given=", ".join(self._listing.classes),
            )

    def read(self, split: str, most: int | None = None) -> Iterator[Batch]:
        """The images of a split, without those that ingestion refuses; of many, always the same random ones."""
        data, image = self._pushed.data, self._pushed.image
        files = [file for file in self._listing.files if file.split == split]
        if most is not None and most < len(files):
            chosen = np.random.default_rng(0).permutation(len(files))[:most]
            files = [files[i] for i in sorted(chosen.tolist())]
        limits = limits_of(data, image.requirements())
        fields = ExampleFields(self._listing.classes)
        reader = ImageReader(self._listing.folder, limits, fields)
        waiting: list[bytes] = []
        for result in reader.read(files):
            if not isinstance(result, Refused):
                waiting.append(result.example)
            if len(waiting) == BATCH:
                yield self._batch(waiting)
                waiting = []
        if waiting:
            yield self._batch(waiting)

    def _batch(self, examples: list[bytes]) -> Batch:
        parsed = tf.io.parse_example(examples, _FEATURES)
        pixels = preprocess(parsed["image_bytes"], self._pushed.image)
        places = {name: i for i, name in enumerate(self._pushed.classes)}
        labels = [places[name.decode("utf-8")] for name in parsed["label"].numpy().tolist()]
        encoded = parsed["image_bytes"].numpy().tolist()
        return Batch(encoded, pixels.numpy().astype(np.float32), np.array(labels, np.int64))
