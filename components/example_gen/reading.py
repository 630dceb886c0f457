"""Turns files into examples or refuses them: reads, checks the header, and decodes once with training's decoder."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.content import content, refuse
from restem.example_gen.dataset import ExampleFields, ImageFile, Refused
from restem.example_gen.slow import SlowFiles
from restem.example_gen.wire import serialized_example
from restem.exhausted import ran_out_of_memory
from restem.images.arrays import read_array
from restem.images.config import ArrayAxes, Requirements
from restem.images.container import to_decodable
from restem.images.formats.pillow import explain_failure
from restem.images.graph.decode import Counts, Depth, ShapeOnly, decode_raw
from restem.images.graph.missing import counts
from restem.images.header import (
    MAX_DECODED_BYTES,
    Header,
    UnreadableImage,
    check_finite,
    check_share,
    check_suits,
    in_brackets,
)
from restem.images.nodata import Nodata
from restem.images.probe import probe

TOO_LITTLE_MEMORY = "There is too little memory to read it."
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
    """An accepted file: its serialized tf.Example, the SHA-256 of the original file, and what it says of no data.

    missing: the share of its pixels without data.
    declares: the value that the file itself declares as no data, or None.
    """

    file: ImageFile
    example: bytes
    digest: bytes
    missing: float = 0.0
    declares: str | None = None


@dataclass(slots=True)
class Readable:
    """A file that the model can read.

    file: path and class.
    data: what the graph decodes: the file's content, or the output of `decodable`; empty after `take`.
    header: of the file.
    shape: height, width and channels after decoding.
    digest: the SHA-256 of the original file.
    missing: the share of the pixels without data, in at least one channel that the model sees (image.nodata).
    """

    file: ImageFile
    data: bytes
    header: Header
    shape: tuple[int, int, int]
    digest: bytes
    missing: float = 0.0

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
        self._nodata = limits.image.nodata
        depth = ShapeOnly() if self._nodata is None else Counts(nodata=self._nodata)
        one, many = (partial(function, depth=depth) for function in (_shape, _shapes))
        self._shapes = tf.function(many, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
        self._shape = tf.function(one, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)

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
            except RestemError:  # the storage failed
                raise
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

    def _convert(self, file: ImageFile, held: list[bytes], header: Header) -> Readable | Refused:
        """Converts a file that TensorFlow does not decode; the result contains its pixels in a lossless format.

        `held` has the file's content, and is emptied, so that it is not in memory while the pixels are encoded.
        """
        digest = hashlib.sha256(held[0]).digest()
        rule = self._nodata
        finite = rule is None or not rule.allows_not_finite
        pixels = read_array(held.pop(), header, self._limits.image.dicom, finite=finite)
        missing = 0.0 if rule is None else _share(counts(pixels, rule).numpy().tolist(), rule)
        encoded = to_decodable(pixels)
        del pixels
        return Readable(file, encoded, header, (header.height, header.width, header.channels), digest, missing)

    def _decode_alone(self, file: ImageFile, held: list[bytes], header: Header) -> Readable | Refused:
        """Decodes a large image. Its content is in memory only once; `held` is emptied."""
        digest = hashlib.sha256(held[0]).digest()
        data = tf.constant(np.array(held.pop(), object))  # tf.constant would copy bytes four times.
        try:
            shape = self._shape(data).numpy().tolist()
        except Exception as error:  # TensorFlow's; UnicodeDecodeError, because messages may have raw bytes; MemoryError
            encoded = data.numpy()
            reason = TOO_LITTLE_MEMORY if ran_out_of_memory(error) else explain_failure(encoded, header.format)
            return Refused(file.path, reason, len(encoded))
        return self._readable(file, data.numpy(), header, shape, digest)

    def _readable(
        self, file: ImageFile, data: bytes, header: Header, found: list[int], digest: bytes
    ) -> Readable | Refused:
        """A decoded file, unless too many of its pixels have no data. `found`: its shape, or its `missing.counts`."""
        height, width, channels, *_ = found
        try:
            missing = 0.0 if self._nodata is None else _share(found, self._nodata)
        except UnreadableImage as error:
            return Refused(file.path, str(error), len(data))
        return Readable(file, data, header, (height, width, channels), digest, missing)

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
            one_read = self._readable(file, data, header, shape, hashlib.sha256(data).digest())
            del data
            yield one_read


def reason_of(error: Exception) -> str:
    """Why a file is refused, as a sentence, whatever was raised."""
    if isinstance(error, UnreadableImage):
        return str(error)
    if ran_out_of_memory(error):
        return TOO_LITTLE_MEMORY
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
                example = self._example(one.file, one.take(), one.header, one.shape)
                yield Accepted(one.file, example, one.digest, one.missing, one.header.nodata)

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


def _shape(image: tf.Tensor, depth: Depth) -> tf.Tensor:
    return decode_raw(image, depth)


def _shapes(images: tf.Tensor, depth: Depth) -> tf.Tensor:
    """string [N] -> integers [N, 3 or 5]: height, width, channels, or the counts of `missing.counts`.

    It decodes every image completely, several in parallel.
    """
    empty = depth.empty()
    signature = tf.TensorSpec(empty.shape, empty.dtype)
    return tf.map_fn(lambda one: _shape(one, depth), images, fn_output_signature=signature)


def _share(found: list[int], rule: Nodata) -> float:
    """The share of pixels without data.

    Args:
      found: the result of `missing.counts`.
      rule: of the configuration.

    Raises:
      UnreadableImage: it is too large, or other values are not finite.
    """
    height, width, _, missing, not_finite = found
    check_finite(not_finite, rule)
    check_share(missing, height * width, rule)
    return missing / max(1, height * width)


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _float(value: float) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))


def _int64(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
