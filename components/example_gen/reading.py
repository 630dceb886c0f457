"""Turns files into examples or refuses them: reads, checks the header, and decodes once with training's decoder."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import tensorflow as tf

from restem.example_gen.content import content, refuse
from restem.example_gen.dataset import ExampleFields, ImageFile, Refused
from restem.images.arrays import decodable
from restem.images.config import Requirements
from restem.images.formats.pillow import explain_failure
from restem.images.graph.decode import decode_raw
from restem.images.header import Header, UnreadableImage, check_suits
from restem.images.probe import probe

# How much is decoded at once: this many files, or fewer if they are large. An image takes 1 to 4 bytes per pixel, and
# twice as much while 16 bits are rescaled.
_BATCH_FILES = 64
_BATCH_PIXELS = 2**25


_NONE = Requirements()


@dataclass(frozen=True)
class Limits:
    """The limits that are checked on the header.

    max_pixels, max_bytes: as in DataConfig.
    image: what the configuration's image section requires of each file.
    """

    max_pixels: int
    max_bytes: int
    image: Requirements = _NONE


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted file: its serialized tf.Example, and the SHA-256 of the original file."""

    file: ImageFile
    example: bytes
    digest: bytes


class ImageReader:
    """Reads the files of a folder in batches, with one TensorFlow graph for all of them."""

    def __init__(self, folder: str, limits: Limits, fields: ExampleFields) -> None:
        self._folder = folder
        self._limits = limits
        self._fields = fields
        self._positions = {name: position for position, name in enumerate(fields.classes)}
        # It has no Python control flow, and autograph takes a second.
        self._shapes = tf.function(_shapes, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)

    def read(self, files: Iterable[ImageFile]) -> Iterator[Accepted | Refused]:
        """One result per file. It keeps at most 64 files in memory, with 32 million pixels or one image."""
        batch: list[tuple[ImageFile, bytes, Header]] = []
        pixels = 0
        for file in files:
            try:
                data, header = self._load(file)
            except UnreadableImage as error:
                yield refuse(self._folder, file, error)
                continue
            if not header.in_graph:
                yield self._convert(file, data, header)
                continue
            if batch and (len(batch) == _BATCH_FILES or pixels + header.pixels > _BATCH_PIXELS):
                yield from self._decode(batch)
                batch, pixels = [], 0
            batch.append((file, data, header))
            pixels += header.pixels
        yield from self._decode(batch)

    def _load(self, file: ImageFile) -> tuple[bytes, Header]:
        data = content(self._folder, file, self._limits.max_bytes)
        header = probe(data, max_pixels=self._limits.max_pixels, max_bytes=self._limits.max_bytes)
        check_suits(header, self._limits.image)
        return data, header

    def _convert(self, file: ImageFile, data: bytes, header: Header) -> Accepted | Refused:
        """Converts a file that TensorFlow does not decode; the example contains its pixels in a lossless format."""
        try:
            stored = decodable(data, header, self._limits.image.dicom)
        except UnreadableImage as error:
            return Refused(file.path, str(error), len(data))
        example = self._example(file, stored, header, (header.height, header.width, header.channels))
        return Accepted(file, example.SerializeToString(), hashlib.sha256(data).digest())

    def _decode(self, batch: list[tuple[ImageFile, bytes, Header]]) -> Iterator[Accepted | Refused]:
        if not batch:
            return
        try:
            shapes = self._shapes([data for _, data, _ in batch]).numpy()
        except (tf.errors.OpError, UnicodeDecodeError):  # Messages with raw bytes raise the latter.
            if len(batch) == 1:
                file, data, header = batch[0]
                yield Refused(file.path, explain_failure(data, header.format), len(data))
            else:
                for one in batch:
                    yield from self._decode([one])
            return
        for (file, data, header), (height, width, channels) in zip(batch, shapes.tolist(), strict=True):
            example = self._example(file, data, header, (height, width, channels))
            yield Accepted(file, example.SerializeToString(), hashlib.sha256(data).digest())

    def _example(self, file: ImageFile, data: bytes, header: Header, shape: tuple[int, int, int]) -> tf.train.Example:
        """The raw example as described in schemas/raw_examples.pbtxt.

        Args:
          file: path and class.
          data: the file's content, or the output of `decodable`.
          header: format and bit depth.
          shape: height, width and channels after decoding.
        """
        height, width, channels = shape
        weight = {"weight": _float(file.weight)} if self._fields.weighted else {}
        metadata = zip(self._fields.metadata, file.metadata, strict=True)
        return tf.train.Example(
            features=tf.train.Features(
                feature={
                    "image_bytes": _bytes(data),
                    "label": _bytes(file.label.encode()),
                    "label_index": _int64(self._positions[file.label]),
                    "path": _bytes(file.path.encode()),
                    "height": _int64(height),
                    "width": _int64(width),
                    "channels": _int64(channels),
                    "bit_depth": _int64(header.bit_depth),
                    "format": _bytes(header.format.encode()),
                    **weight,
                    **{name: _bytes(value.encode()) for name, value in metadata},
                }
            )
        )


def _shapes(images: tf.Tensor) -> tf.Tensor:
    """string [N] -> int32 [N, 3]: height, width, channels. It decodes every image completely, several in parallel."""
    return tf.map_fn(lambda data: tf.shape(decode_raw(data)), images, fn_output_signature=tf.TensorSpec([3], tf.int32))


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _float(value: float) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))


def _int64(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
