"""What TFX's Transform runs: raw examples in, pixels of the model's size and channels out."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from components.images.config import ImageConfig
from components.images.preprocess import encode_pixels, preprocess


def preprocessing_fn(inputs: Mapping[str, tf.Tensor], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Decodes, converts and resizes a batch of images, and learns the channels' statistics.

    The pixels come from `components.images.preprocess`, which serving calls too: there is no second way to make them.
    They are stored as lossless PNGs of uint8: some 25 times smaller than float tensors.

    Args:
      inputs: raw examples: `image_bytes` string [N], `label_index` int64 [N], `path` string [N].
      custom_config: `image`, an ImageConfig as a dict.

    Returns:
      `pixels` string [N] (encoded uint8 [height, width, channels]), `label_index` int64 [N], `path` string [N], and
      `channel_mean` and `channel_std` float32 [N, channels]: mean and standard deviation of the pixel values (0..255)
      of each channel over the training split, the same in every row.
    """
    pixels = preprocess(inputs["image_bytes"], ImageConfig.model_validate(custom_config["image"]))
    values = tf.cast(pixels, tf.float32)
    # Every image has the same number of pixels by now: the mean of the images' means is the mean of all pixels.
    mean = tft.mean(tf.reduce_mean(values, axis=(1, 2)), reduce_instance_dims=False)
    square = tft.mean(tf.reduce_mean(tf.square(values), axis=(1, 2)), reduce_instance_dims=False)
    std = tf.sqrt(tf.maximum(square - tf.square(mean), 0.0))
    rows = tf.shape(inputs["image_bytes"])[0]
    return {
        "pixels": encode_pixels(pixels),
        "label_index": inputs["label_index"],
        "path": inputs["path"],
        "channel_mean": tf.tile(mean[tf.newaxis], [rows, 1]),
        "channel_std": tf.tile(std[tf.newaxis], [rows, 1]),
    }
