"""Converts a pushed model, and compares the result with it on the test images."""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from restem.convert.formats import FORMATS, check_installed
from restem.convert.images import Images
from restem.convert.network import read_pushed
from restem.evaluator.paired import paired
from restem.evaluator.serving import served_size
from restem.example_gen.dataset import TEST, TRAIN

log = logging.getLogger("restem")

CALIBRATION_IMAGES = 200  # training images whose values choose the 8-bit ranges


@dataclass(frozen=True)
class Converted:
    """A converted model beside the pushed one, on the same test images.

    Attributes:
      path, format: of the converted model.
      images: the number of test images.
      accuracy: of the converted model, 0..1.
      accuracy_before: of the pushed one.
      difference: of the accuracies, and its limits, each with one-sided 95% confidence.
      other_answers: how many images get another class.
      largest_difference: of a probability.
      size, size_before: bytes of the converted file, and of what is served of the pushed model.
    """

    path: str
    format: str
    images: int
    accuracy: float
    accuracy_before: float
    difference: tuple[float, float, float]
    other_answers: int
    largest_difference: float
    size: int
    size_before: int


def convert(
    folder: str,
    kind: str,
    out: str,
    *,
    int8: bool = False,
    images: str | None = None,
) -> Converted:
    """Converts a pushed model and judges the result.

    Args:
      folder: of one version.
      kind: one of FORMATS.
      out: the file to write; it must not exist.
      int8: whether weights and activations get 8 bits, with ranges from training images.
      images: the images' file or folder, if they are no longer where the run found them.

    Raises:
      RestemError: the folder or the images cannot be used.
    """
    check_installed(kind)
    form = FORMATS[kind]
    pushed = read_pushed(folder)
    with tempfile.TemporaryDirectory() as scratch:
        data = Images(pushed, images, scratch)
        partial = os.path.join(scratch, f"model{form.ending}")
        log.info("Converting to %s", kind)
        calibration = None
        if int8:
            batches = data.read(TRAIN, CALIBRATION_IMAGES)
            calibration = [one[None] for batch in batches for one in batch.pixels]
        form.write(pushed.model, partial, calibration)
        run, before = form.load(partial), tf.saved_model.load(folder).signatures["serving_default"]
        labels, ours, theirs = [], [], []
        log.info("Comparing on the test images")
        for batch in data.read(TEST):
            labels.append(batch.labels)
            ours.append(run(batch.pixels))
            theirs.append(before(image_bytes=tf.constant(batch.encoded))["probabilities"].numpy())
        with open(partial, "rb") as source, open(out, "xb") as target:
            target.write(source.read())
    truth, new, old = (np.concatenate(part) for part in (labels, ours, theirs))
    right, right_before = new.argmax(axis=1) == truth, old.argmax(axis=1) == truth
    pair = paired(right, right_before)
    return Converted(
        path=out,
        format=f"{kind}, 8 bits" if int8 else kind,
        images=len(truth),
        accuracy=float(right.mean()),
        accuracy_before=float(right_before.mean()),
        difference=(pair.difference.value, pair.difference.low, pair.difference.high),
        other_answers=int(np.sum(new.argmax(axis=1) != old.argmax(axis=1))),
        largest_difference=float(np.abs(new - old).max()),
        size=os.path.getsize(out),
        size_before=served_size(folder),
    )
