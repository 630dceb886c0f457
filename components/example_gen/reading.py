"""Turns files into examples or refuses them: reads, checks the header, and decodes once with training's decoder."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from restem.example_gen.config import DataConfig
from restem.example_gen.content import content, refuse
from restem.example_gen.dataset import ExampleFields, ImageFile, Refused
from restem.example_gen.slow import SlowFiles
from restem.example_gen.wire import serialized_example
from restem.images.arrays import read_array
from restem.images.config import ArrayAxes, Requirements
from restem.images.container import to_decodable
from restem.images.formats.pillow import explain_failure
from restem.images.graph.decode import ShapeOnly, decode_raw
from restem.images.header import MAX_DECODED_BYTES, Header, UnreadableImage, check_suits, in_brackets
from restem.images.probe import probe

# How much is decoded at once: this many files, or fewer if they are large, by the bytes of the decoded images.
_BATCH_FILES = 64
_BATCH_BYTES = 3 * 2**25
# Larger images are decoded alone, so that their content is in memory only once while TensorFlow decodes them.
_ALONE_BYTES = _BATCH_BYTES // 2

_NONE = Requirements()


@dataclass(frozen=True)
class Limits:
    """The limits that are checked on the header.

    max_pixels, max_bytes, max_decoded_bytes, array_axes: as in DataConfig.
    image: what the configuration's image section requires of each file.
    """

    max_pixels: int
    max_bytes: int
    image: Requirements = _NONE
    max_decoded_bytes: int = MAX_DECODED_BYTES
    array_axes: ArrayAxes = "hwc"


def limits_of(data: DataConfig, image: Requirements) -> Limits:
    """The limits of a configuration."""
    return Limits(data.max_pixels, data.max_bytes, image, data.max_decoded_bytes, data.array_axes)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted file: its serialized tf.Example, and the SHA-256 of the original file."""

    file: ImageFile
    example: bytes
    digest: bytes


@dataclass(slots=True)
class Readable:
    """A file that the model can read.

    file: path and class.
    data: what the graph decodes: the file's content, or the output of `decodable`; empty after `take`.
    header: of the file.
    shape: height, width and channels after decoding.
    digest: the SHA-256 of the original file.
    """

    file: ImageFile
    data: bytes
    header: Header
    shape: tuple[int, int, int]
    digest: bytes

    def take(self) -> bytes:
        """The data, which are then no longer kept here: an image may be as large as the limits allow."""
        data, self.data = self.data, b""
        return data


class ImageDecoder:
    """Decides for each file of a folder whether it can be read, in batches, with one TensorFlow graph for all of them.

    `restem inspect`, `restem init` and the pipeline use it, so that all of them accept the same files. Whatever a
    single file does, it is refused with a reason, and the others are read.
    """

    def __init__(self, folder: str, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        # It has no Python control flow, and autograph takes a second.
        self._shapes = tf.function(_shapes, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
        self._shape = tf.function(_shape, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)

    def decode(self, files: Iterable[ImageFile]) -> Iterator[Readable | Refused]:
        """One result per file. It keeps at most 64 files in memory, with 100 MB of pixels or one image."""
        with SlowFiles() as slow:
            yield from self._decoded(files, slow)

    def _decoded(self, files: Iterable[ImageFile], slow: SlowFiles) -> Iterator[Readable | Refused]:
        batch: list[tuple[ImageFile, bytes, Header]] = []
        size = 0
        for file in files:
            slow.reading(file.path)
            result: Readable | Refused | None = None
            try:
                data, header = self._load(file)
                if not header.in_graph or header.decoded_bytes > _ALONE_BYTES:
                    held = [data]
                    del data
                    result = (self._decode_alone if header.in_graph else self._convert)(file, held, header)
            except Exception as error:
                result = refuse(self._folder, file, reason_of(error))
            slow.reading("")
            if result is not None:
                yield result
                continue
            if batch and (len(batch) == _BATCH_FILES or size + header.decoded_bytes > _BATCH_BYTES):
                yield from self._decode(batch, slow)
                batch, size = [], 0
            batch.append((file, data, header))
            del data
            size += header.decoded_bytes
        yield from self._decode(batch, slow)

    def _load(self, file: ImageFile) -> tuple[bytes, Header]:
        limits = self._limits
        data = content(self._folder, file, limits.max_bytes)
        header = probe(
            data,
            max_pixels=limits.max_pixels,
            max_bytes=limits.max_bytes,
            max_decoded_bytes=limits.max_decoded_bytes,
            array_axes=limits.array_axes,
        )
        check_suits(header, limits.image)
        return data, header

    def _convert(self, file: ImageFile, held: list[bytes], header: Header) -> Readable:
        """Converts a file that TensorFlow does not decode; the result contains its pixels in a lossless format.

        `held` has the file's content, and is emptied, so that it is not in memory while the pixels are encoded.
        """
        digest = hashlib.sha256(held[0]).digest()
        encoded = to_decodable(read_array(held.pop(), header, self._limits.image.dicom))
        return Readable(file, encoded, header, (header.height, header.width, header.channels), digest)

    def _decode_alone(self, file: ImageFile, held: list[bytes], header: Header) -> Readable | Refused:
        """Decodes a large image. Its content is in memory only once; `held` is emptied."""
        digest = hashlib.sha256(held[0]).digest()
        data = tf.constant(np.array(held.pop(), object))  # tf.constant would copy bytes four times.
        try:
            shape = self._shape(data).numpy().tolist()
        except Exception:  # TensorFlow's errors; UnicodeDecodeError, because messages may have raw bytes; MemoryError.
            encoded = data.numpy()
            return Refused(file.path, explain_failure(encoded, header.format), len(encoded))
        return Readable(file, data.numpy(), header, tuple(shape), digest)

    def _decode(self, batch: list[tuple[ImageFile, bytes, Header]], slow: SlowFiles) -> Iterator[Readable | Refused]:
        if len(batch) < 2:
            for file, data, header in _emptied(batch):
                held = [data]
                del data
                slow.reading(file.path)
                alone = self._decode_alone(file, held, header)
                slow.reading("")
                yield alone
            return
        try:
            slow.reading(f"{batch[0][0].path} or one of the {len(batch) - 1} files after it")
            shapes = self._shapes([data for _, data, _ in batch]).numpy()
        except Exception:  # as in _decode_alone
            for one in _emptied(batch):
                yield from self._decode([one], slow)
            return
        finally:
            slow.reading("")
        for (file, data, header), shape in zip(_emptied(batch), shapes.tolist(), strict=True):
            one_read = Readable(file, data, header, tuple(shape), hashlib.sha256(data).digest())
            del data
            yield one_read


def reason_of(error: Exception) -> str:
    """Why a file is refused, as a sentence, whatever was raised."""
    if isinstance(error, UnreadableImage):
        return str(error)
    if isinstance(error, MemoryError):
        return "There is too little memory to read it."
    return f"It cannot be read: unexpected {type(error).__name__} ({in_brackets(error)})."


class ImageReader:
    """Turns the files of a folder into examples, or refuses them."""

    def __init__(self, folder: str, limits: Limits, fields: ExampleFields) -> None:
        self._decoder = ImageDecoder(folder, limits)
        self._fields = fields
        self._positions = {name: position for position, name in enumerate(fields.classes)}

    def read(self, files: Iterable[ImageFile]) -> Iterator[Accepted | Refused]:
        """One result per file; see `ImageDecoder.decode`."""
        for one in self._decoder.decode(files):
            if isinstance(one, Refused):
                yield one
            else:
                yield Accepted(one.file, self._example(one.file, one.take(), one.header, one.shape), one.digest)

    def _example(self, file: ImageFile, data: bytes, header: Header, shape: tuple[int, int, int]) -> bytes:
        """The raw tf.Example as described in schemas/raw_examples.pbtxt, serialized.

        Args:
          file: path and class.
          data: the file's content, or the output of `decodable`.
          header: format and bit depth.
          shape: height, width and channels after decoding.
        """
        height, width, channels = shape
        weight = {"weight": _float(file.weight)} if self._fields.weighted else {}
        metadata = zip(self._fields.metadata, file.metadata, strict=True)
        features = tf.train.Features(
            feature={
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
        return serialized_example(features, {"image_bytes": data})


def _emptied(batch: list[tuple[ImageFile, bytes, Header]]) -> Iterator[tuple[ImageFile, bytes, Header]]:
    """The batch's files in order; what was returned is no longer kept in the batch."""
    batch.reverse()
    while batch:
        yield batch.pop()


def _shape(image: tf.Tensor) -> tf.Tensor:
    return decode_raw(image, ShapeOnly())


def _shapes(images: tf.Tensor) -> tf.Tensor:
    """string [N] -> int32 [N, 3]: height, width, channels. It decodes every image completely, several in parallel."""
    return tf.map_fn(_shape, images, fn_output_signature=tf.TensorSpec([3], tf.int32))


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _float(value: float) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))


def _int64(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
