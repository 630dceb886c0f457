"""The function that TFX's Transform runs: raw examples in, pixels with the model's size and channels out."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from restem.images.config import ImageConfig
from restem.images.graph.preprocess import to_stored, to_stored_marked


def preprocessing_fn(inputs: Mapping[str, tf.Tensor], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Decodes, converts, resizes and encodes a batch of images.

    The pixels come from `restem.images.graph.preprocess`, which serving calls too, so both are the same.
    No statistics are computed here, because tf.Transform would decode the training split twice for them. The Trainer
    computes them (`restem.trainer.input.Split.channel_statistics`).

    Args:
      inputs: raw examples: `image_bytes` string [N], `label_index` int64 [N], `path` string [N], and optionally
        `weight` float32 [N].
      custom_config: `image`, an ImageConfig as a dict.

    Returns:
      `pixels` string [N] (see `restem.images.graph.stored`), `label_index` int64 [N], `path` string [N], `weight`
      float32 [N] if it is given, and with image.nodata `missing` string [N], the pixels without data.
    """
    image = ImageConfig.model_validate(custom_config["image"])
    kept = {name: inputs[name] for name in ("label_index", "path", "weight") if name in inputs}
    if image.nodata is None:
        return {"pixels": to_stored(inputs["image_bytes"], image), **kept}
    pixels, missing = to_stored_marked(inputs["image_bytes"], image)
    return {"pixels": pixels, "missing": missing, **kept}
