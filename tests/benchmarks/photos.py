"""Images with the statistics of photographs, without a download."""

import functools

import numpy as np
import tensorflow as tf

from restem.images.config import ImageConfig

PHOTO = ImageConfig(size=224, channels=3)  # the model's image format for them


def photo(index: int) -> bytes:
    """A JPEG of 500x375, a crop of one of scikit-learn's two sample images; a different file for each index."""
    samples = _samples()
    rng = np.random.default_rng(index)
    y, x = rng.integers(0, 427 - 375), rng.integers(0, 640 - 500)
    crop = samples[index % 2][y : y + 375, x : x + 500].copy()
    crop[:2] = rng.integers(0, 256, 3)
    return tf.io.encode_jpeg(crop, quality=90).numpy()


@functools.cache
def _samples() -> list[np.ndarray]:
    from sklearn.datasets import load_sample_images

    return load_sample_images().images
