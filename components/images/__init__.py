"""From encoded bytes to pixels: training, evaluation and serving share this decoding and preprocessing.

`probe` detects a file's format and reads its header; `graph/` decodes and preprocesses in TensorFlow; `arrays` reads
the formats that TensorFlow does not decode, with the readers in `formats/`.
"""

from pathlib import Path

from restem.images.config import ImageConfig


def encode_for_serving(path: str | Path) -> bytes:
    """The bytes that a client sends to the served model for a file; see `restem.images.arrays.encode_for_serving`."""
    from restem.images import arrays  # imports NumPy and Pillow, which checking a configuration does not need

    return arrays.encode_for_serving(path)


__all__ = ["ImageConfig", "encode_for_serving"]
