"""Files -> examples, or the reason why not: read, look at the header, decode once with the decoder of training."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import tensorflow as tf

from restem.example_gen.content import content, size
from restem.example_gen.dataset import Record
from restem.images.arrays import decodable
from restem.images.config import Requirements
from restem.images.formats.pillow import explain_failure
from restem.images.graph.decode import decode_raw
from restem.images.header import Header, UnreadableImage, check_suits
from restem.images.probe import probe

# How much is decoded at once: so many files, or fewer large ones. An image takes 1 to 4 bytes a pixel, twice that while
# 16 bits are rescaled.
_BATCH_FILES = 64
_BATCH_PIXELS = 2**25


_NONE = Requirements()


@dataclass(frozen=True)
class Limits:
    """What is refused from the header alone.

    max_pixels, max_bytes: as in DataConfig.
    image: what the configuration's section image asks of each file.
    """

    max_pixels: int
    max_bytes: int
    image: Requirements = _NONE


@dataclass(frozen=True, slots=True)
class Source:
    """An image to be read: its path relative to the data folder, its class and its split; see `ImageFile`."""

    path: str
    label: str
    label_index: int
    split: str
    weight: float | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A file for the quarantine: `bytes` is its size, -1 where that cannot be told."""

    path: str
    reason: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A file that is a good example: its serialized tf.Example, and the SHA-256 of the file as it was."""

    source: Source
    example: bytes
    digest: bytes


class ImageReader:
    """Reads files of a folder in batches; one TensorFlow graph for all of them."""

    def __init__(self, folder: str, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        # Nothing in it is Python control flow for autograph to convert, which costs a second.
        self._shapes = tf.function(_shapes, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)

    def read(self, sources: Iterable[Source]) -> Iterator[Accepted | Refused]:
        """One result a file; in memory at once are at most 64 files, and 32 million pixels or one image."""
        batch: list[tuple[Source, bytes, Header]] = []
        pixels = 0
        for source in sources:
            try:
                data, header = self._load(source)
            except UnreadableImage as error:
                yield Refused(source.path, str(error), size(self._folder, source.path, source.record))
                continue
            if not header.in_graph:
                yield self._convert(source, data, header)
                continue
            if batch and (len(batch) == _BATCH_FILES or pixels + header.pixels > _BATCH_PIXELS):
                yield from self._decode(batch)
                batch, pixels = [], 0
            batch.append((source, data, header))
            pixels += header.pixels
        yield from self._decode(batch)

    def _load(self, source: Source) -> tuple[bytes, Header]:
        data = content(self._folder, source.path, source.record, self._limits.max_bytes)
        header = probe(data, max_pixels=self._limits.max_pixels, max_bytes=self._limits.max_bytes)
        check_suits(header, self._limits.image)
        return data, header

    def _convert(self, source: Source, data: bytes, header: Header) -> Accepted | Refused:
        """One file that TensorFlow does not decode: the example holds its pixels, losslessly, as one that it does."""
        try:
            stored = decodable(data, header)
        except UnreadableImage as error:
            return Refused(source.path, str(error), len(data))
        example = to_example(source, stored, header, (header.height, header.width, header.channels))
        return Accepted(source, example.SerializeToString(), hashlib.sha256(data).digest())

    def _decode(self, batch: list[tuple[Source, bytes, Header]]) -> Iterator[Accepted | Refused]:
        if not batch:
            return
        try:
            shapes = self._shapes([data for _, data, _ in batch]).numpy()
        except (tf.errors.OpError, UnicodeDecodeError):  # Messages with raw bytes in them end as the latter.
            if len(batch) == 1:
                source, data, header = batch[0]
                yield Refused(source.path, explain_failure(data, header.format), len(data))
            else:
                for one in batch:
                    yield from self._decode([one])
            return
        for (source, data, header), (height, width, channels) in zip(batch, shapes.tolist(), strict=True):
            example = to_example(source, data, header, (height, width, channels))
            yield Accepted(source, example.SerializeToString(), hashlib.sha256(data).digest())


def to_example(source: Source, data: bytes, header: Header, shape: tuple[int, int, int]) -> tf.train.Example:
    """The raw example, as schemas/raw_examples.pbtxt describes it.

    Args:
      source: the file's path and class.
      data: its content, or what `decodable` made of it.
      header: its format and bit depth.
      shape: height, width and channels, as decoded.
    """
    height, width, channels = shape
    weight = {} if source.weight is None else {"weight": _float(source.weight)}
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                "image_bytes": _bytes(data),
                "label": _bytes(source.label.encode()),
                "label_index": _int64(source.label_index),
                "path": _bytes(source.path.encode()),
                "height": _int64(height),
                "width": _int64(width),
                "channels": _int64(channels),
                "bit_depth": _int64(header.bit_depth),
                "format": _bytes(header.format.encode()),
                **weight,
                **{name: _bytes(value.encode()) for name, value in source.metadata},
            }
        )
    )


def _shapes(images: tf.Tensor) -> tf.Tensor:
    """string [N] -> int32 [N, 3]: height, width, channels. Every image is decoded whole, several at once."""
    return tf.map_fn(lambda data: tf.shape(decode_raw(data)), images, fn_output_signature=tf.TensorSpec([3], tf.int32))


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _float(value: float) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))


def _int64(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
