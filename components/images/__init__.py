"""From encoded bytes to pixels: the one decoding and the one preprocessing of training, evaluation and serving.

`probe` finds a file's format and reads its header; `graph/` decodes and preprocesses in TensorFlow; `arrays` reads what
TensorFlow does not decode, by the readers in `formats/`.
"""

from pathlib import Path

from restem.images.config import ImageConfig


def encode_for_serving(path: str | Path) -> bytes:
    """What a client sends to the served model for a file; see `restem.images.arrays.encode_for_serving`."""
    from restem.images import arrays  # NumPy and Pillow, which a configuration's check has no need of

    return arrays.encode_for_serving(path)


__all__ = ["ImageConfig", "encode_for_serving"]
