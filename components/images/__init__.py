"""From encoded bytes to pixels: the one decoding and the one preprocessing of training, evaluation and serving.

`config` and `probe` are light; `decode`, `preprocess` and `statistics` are TensorFlow graph code.
"""

from components.images.config import ImageConfig

__all__ = ["ImageConfig"]
