"""From encoded bytes to pixels: training, evaluation and serving share this decoding and preprocessing.

`probe` detects a file's format and reads its header; `graph/` decodes and preprocesses in TensorFlow; `arrays` reads
the formats that TensorFlow does not decode, with the readers in `formats/`.
"""

from pathlib import Path

from restem.images.config import ArrayAxes, DicomReading, ImageConfig
from restem.images.nodata import Nodata


def encode_for_serving(
    path: str | Path,
    dicom: DicomReading | None = None,
    *,
    array_axes: ArrayAxes = "hwc",
    nodata: Nodata | None = None,
) -> bytes:
    """The bytes that a client sends to the served model for a file; see `restem.images.arrays.encode_for_serving`."""
    from restem.images import arrays  # imports NumPy and Pillow, which checking a configuration does not need

    return arrays.encode_for_serving(path, dicom, array_axes=array_axes, nodata=nodata)


def dicom_reading(model: str | Path) -> DicomReading | None:
    """How a pushed model's configuration reads DICOM files, for `encode_for_serving`; None if it does not.

    Args:
      model: the folder of one version.
    """
    from restem.run_record import EXTRA, read_model

    return ImageConfig.model_validate(read_model(Path(model) / EXTRA).config["image"]).dicom_reading


def nodata_rule(model: str | Path) -> Nodata | None:
    """Which values are no data for a pushed model, for `encode_for_serving`; None if every value is data.

    Args:
      model: the folder of one version.
    """
    from restem.run_record import EXTRA, read_model

    return ImageConfig.model_validate(read_model(Path(model) / EXTRA).config["image"]).nodata_rule


def array_axes(model: str | Path) -> ArrayAxes:
    """The axes of `.npy` arrays in a pushed model's configuration, for `encode_for_serving`.

    Args:
      model: the folder of one version.
    """
    from restem.run_record import EXTRA, read_model

    return read_model(Path(model) / EXTRA).config.get("data", {}).get("array_axes", "hwc")


__all__ = [
    "DicomReading",
    "ImageConfig",
    "Nodata",
    "array_axes",
    "dicom_reading",
    "encode_for_serving",
    "nodata_rule",
]
