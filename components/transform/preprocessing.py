"""What TFX's Transform runs: raw examples in, pixels of the model's size and channels out."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from components.images.config import ImageConfig
from components.images.preprocess import encode_pixels, preprocess
from components.images.statistics import FEATURES, channel_sums


def preprocessing_fn(inputs: Mapping[str, tf.Tensor], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Decodes, converts and resizes a batch of images, and learns the channels' statistics.

    The pixels come from `components.images.preprocess`, which serving calls too: there is no second way to make them.
    They are stored as lossless PNGs of 8 or 16 bits: some 25 times smaller than float tensors.

    Args:
      inputs: raw examples: `image_bytes` string [N], `label_index` int64 [N], `path` string [N], and perhaps `weight`
        float32 [N].
      custom_config: `image`, an ImageConfig as a dict.

    Returns:
      `pixels` string [N] (encoded uint8 or uint16 [height, width, channels]), `label_index` int64 [N], `path` string
      [N], `weight` float32 [N] where it was given, and of the whole training split, the same in every row:
      `channel_sums`, `channel_squares_high` and `channel_squares_low` int64 [N, channels], the sums of the pixel values
      and, in two halves, of their squares (see `ChannelSums`), and `pixel_count` int64 [N], the pixels in each sum.
    """
    pixels = preprocess(inputs["image_bytes"], ImageConfig.model_validate(custom_config["image"]))
    images = channel_sums(pixels)
    rows = tf.shape(pixels, out_type=tf.int64)[0]
    total = [_on_every_row(tft.sum(part, reduce_instance_dims=False), rows) for part in images]
    count = tft.sum(tf.reshape(rows * pixels.shape[1] * pixels.shape[2], [1]))
    return {
        "pixels": encode_pixels(pixels),
        "label_index": inputs["label_index"],
        "path": inputs["path"],
        **({"weight": inputs["weight"]} if "weight" in inputs else {}),
        **dict(zip(FEATURES, total, strict=True)),
        "pixel_count": tf.repeat(count, rows),
    }


def _on_every_row(values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """[channels] -> [rows, channels]: what was learned travels beside each example, a few bytes."""
    return tf.tile(values[tf.newaxis], [rows, 1])
