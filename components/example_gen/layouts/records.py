"""TFRecord files of tf.Examples, read without TensorFlow, so that the command line responds quickly.

A record is a length (8 bytes), a checksum of it (4), a serialized tf.Example, and a checksum of that (4). The listing
stores the position of each record, so that workers can read records in any order, like files. For this, gzip files are
first unpacked into a folder that the workers can access.

The hash of its bytes decides the split of an image without a given split or group. So it stays in its split when the
examples are written to other files, and copies of it are in the same split.
"""

import functools
import gzip
import hashlib
import itertools
import os
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import DataConfig, looks_like_records
from restem.example_gen.dataset import SPLIT_NAMES, ImageFile, Listing, Record, Refused, relative
from restem.example_gen.layouts.labels import relabel

_GZIP = b"\x1f\x8b"
_HEADER, _FOOTER = 12, 4
_MOST_BYTES = 2**31 - 1  # in a protocol buffer, and therefore in a tf.Example


@dataclass(frozen=True)
class Parsed:
    """The content of a tf.Example."""

    image: bytes
    label: str
    split: str
    group: str | None
    weight: float
    metadata: tuple[str, ...]
    path: str | None


class BadRecord(ValueError):
    """The reason why a record is not an image, as a message for the user."""


def shards(path: str) -> list[str]:
    """The TFRecord files that a path names: a file, a pattern, or a folder of files named *.tfrecord*.

    Raises:
      RestemError: there are no such files.
    """
    try:
        found = storage.files_like(path if looks_like_records(path) else path.rstrip("/") + "/*.tfrecord*")
        found = found or storage.files_like(path)
    except OSError as error:
        raise storage.reading_failed(path, error) from None
    if not found:
        expected = "TFRecord files: a file, a pattern such as /data/*.tfrecord, or a folder of files named *.tfrecord"
        raise RestemError("there are no TFRecord files", where=f"data.path ({path})", expected=expected)
    return found


def list_images(path: str, folder: str, config: DataConfig, scratch: str | None = None) -> Listing:
    """Reads all examples once, for their labels, and stores their positions; only one example is in memory at a time.

    Args:
      path: see `shards`.
      folder: the folder that the names of examples are relative to.
      config: names of features.
      scratch: the folder for unpacked gzip files.

    Raises:
      RestemError: there are no such files, one is gzip and scratch is None, or the very first example lacks the image
        or the label.
    """
    files, refused = [], []
    for number, shard in enumerate(shards(path)):
        name = relative(folder, shard)
        plain = _unpacked(shard, number, scratch)
        for index, (record, data, damage) in enumerate(read_records(plain)):
            where = f"{name}#{index}"
            if damage:
                refused.append(Refused(where, damage, record.length))
                continue
            try:
                files.append(_image(data, record, where, config))
            except BadRecord as error:
                if not files and not refused:
                    _explain_features(data, shard, config, error)
                refused.append(Refused(where, str(error), record.length))
    if not files and not refused:
        raise RestemError("there are no examples in the files", where=f"data.path ({path})")
    _name_once(files, refused)
    labels = relabel(files, refused, config, f"data.path ({path})")
    return Listing(
        folder=folder,
        classes=tuple(sorted({file.label for file in files})),
        files=tuple(sorted(files, key=lambda file: file.path)),
        refused=tuple(sorted(refused, key=lambda one: one.path)),
        given_splits=config.features.split is not None,
        notes=labels.notes,
    )


def check_first(path: str, config: DataConfig) -> None:
    """Checks only the first example, which is quick for files of any size.

    Raises:
      RestemError: there are no such files, or the example lacks a feature that data.features names.
    """
    for data in first_examples(path, 1):
        try:
            parse(data, config)
        except BadRecord as error:
            _explain_features(data, shards(path)[0], config, error)


def first_examples(path: str, count: int) -> Iterator[bytes]:
    """The first serialized examples of the first file.

    Raises:
      RestemError: there are no such files, or the first one is not a TFRecord file.
    """
    shard = shards(path)[0]
    with _opened(shard) as file:
        gzipped = file.read(2) == _GZIP
        file.seek(0)
        records = _records(gzip.GzipFile(fileobj=file) if gzipped else file, shard)
        for index, (_, data, damage) in enumerate(itertools.islice(records, count)):
            if damage and not index:
                raise RestemError(damage, where=f"data.path ({shard})", expected="a TFRecord file")
            if not damage:
                yield data


def fingerprint(path: str, folder: str, config: DataConfig) -> str:
    """A fingerprint that changes with the name, size or time of any of the files."""
    digest = hashlib.sha256()
    for shard in shards(path):
        found = storage.status(shard)
        digest.update(f"{relative(folder, shard)}\0{found}\0".encode())
    return digest.hexdigest()


def read_records(path: str) -> Iterator[tuple[Record, bytes, str | None]]:
    """Every record of an uncompressed file: its location, its bytes, and what is wrong with it, or None."""
    with _opened(path) as file:
        yield from _records(file, path)


def read_record(record: Record) -> bytes:
    """One serialized example.

    Raises:
      OSError: the file cannot be read.
    """
    with storage.open_file(record.file) as file:
        file.seek(record.offset)
        return file.read(record.length)


def parse(data: bytes, config: DataConfig) -> Parsed:
    """Parses a serialized tf.Example with the feature names in data.features.

    Raises:
      BadRecord: it is not an example, or lacks a feature.
    """
    features = _features(data)
    names = config.features
    images = _values(features, names.image)
    if len(images) != 1 or not isinstance(images[0], bytes):
        raise BadRecord(f"Its feature {names.image} does not hold one encoded image.")
    label = unicodedata.normalize("NFC", _one_text(features, names.label))
    if not label:
        raise BadRecord(f"Its feature {names.label} is empty.")
    split = ""
    if names.split is not None:
        text = _one_text(features, names.split)
        split = SPLIT_NAMES.get(text.lower(), "")
        if not split:
            raise BadRecord(f"Its split {text!r} is not train, val or test.")
    weight = 1.0
    if config.weight is not None:
        text = _one_text(features, config.weight)
        try:
            weight = float(text)
        except ValueError:
            weight = -1.0
        if not 0 <= weight < float("inf"):
            raise BadRecord(f"Its weight {text!r} is not a finite number of at least 0.")
    return Parsed(
        image=images[0],
        label=label,
        split=split,
        group=None if config.group is None else _one_text(features, config.group) or None,
        weight=weight,
        metadata=tuple(_one_text(features, name) for name in config.metadata),
        path=None if names.path is None else _one_text(features, names.path),
    )


def feature_values(data: bytes, name: str) -> list:
    """The values of one feature of a serialized tf.Example.

    Raises:
      BadRecord: it is not an example, or has no such feature.
    """
    return _values(_features(data), name)


def all_features(data: bytes) -> dict[str, list]:
    """Name -> values of all features in a serialized tf.Example.

    Raises:
      BadRecord: it is not an example.
    """
    features = _features(data)
    return {name: _values(features, name) for name in sorted(features)}


def _image(data: bytes, record: Record, where: str, config: DataConfig) -> ImageFile:
    parsed = parse(data, config)
    return ImageFile(
        path=parsed.path or where,
        label=parsed.label,
        split=parsed.split,
        group=parsed.group,
        weight=parsed.weight,
        metadata=parsed.metadata,
        record=replace(record, feature=config.features.image),
        key=hashlib.sha256(parsed.image).hexdigest(),
    )


def _name_once(files: list[ImageFile], refused: list[Refused]) -> None:
    """Keeps only the first example of each name, because a name must identify one image."""
    seen: set[str] = set()
    kept = []
    for file in files:
        if file.path in seen:
            assert file.record is not None
            refused.append(Refused(file.path, "Another example has the same name.", file.record.length))
        else:
            seen.add(file.path)
            kept.append(file)
    files[:] = kept


def _opened(path: str) -> BinaryIO:
    try:
        return storage.open_file(path)
    except OSError as error:
        raise storage.reading_failed(path, error) from None


def _unpacked(shard: str, number: int, scratch: str | None) -> str:
    """The file itself, or its unpacked content if it is gzip."""
    with _opened(shard) as file:
        if file.read(2) != _GZIP:
            return shard
        if scratch is None:
            raise RestemError("there is no folder for unpacking gzip files", where=f"data.path ({shard})")
        file.seek(0)
        target = os.path.join(scratch, f"{hashlib.sha256(shard.encode()).hexdigest()[:16]}-{number:05d}.tfrecord")
        with storage.create(target) as plain:
            try:
                unpacked = gzip.GzipFile(fileobj=file)
                # read1 returns the available data before it fails; read would fail first.
                while chunk := unpacked.read1(2**20):
                    plain.write(chunk)
            except (EOFError, OSError, zlib.error):
                # The data before the damage are complete; this byte makes the next record look truncated.
                plain.write(b"\0")
    return target


def _records(file: BinaryIO | gzip.GzipFile, path: str) -> Iterator[tuple[Record, bytes, str | None]]:
    import google_crc32c

    def checksum(data: bytes) -> int:
        value = google_crc32c.value(data)
        return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF

    offset = 0
    while header := file.read(_HEADER):
        if len(header) < _HEADER:
            yield Record(path, offset, len(header)), b"", "The file ends in the middle of a record."
            return
        length, check = struct.unpack("<QI", header)
        sound = checksum(header[:8]) == check
        if not sound or length > _MOST_BYTES:
            what = "a record's length" if sound else "a checksum"
            yield Record(path, offset, -1), b"", f"From here on, this is not a TFRecord file: {what} is wrong."
            return
        data, footer = file.read(length), file.read(_FOOTER)
        record = Record(path, offset + _HEADER, len(data))
        if len(footer) < _FOOTER:
            yield record, b"", "The file ends in the middle of a record."
            return
        wrong = checksum(data) != struct.unpack("<I", footer)[0]
        yield record, data, "The record is damaged: its checksum is wrong." if wrong else None
        offset += _HEADER + length + _FOOTER


def _explain_features(data: bytes, shard: str, config: DataConfig, error: BadRecord) -> None:
    """Explains a bad first example: then the configured names are wrong, not the data.

    Raises:
      RestemError: always.
    """
    try:
        found = ", ".join(_features(data)) or "none"
    except BadRecord:
        found = "no tf.Example"
    raise RestemError(
        f"the first example does not match data.features: {str(error).rstrip('.')}",
        where=f"data.path ({shard})",
        expected=f"an encoded image in {config.features.image} and a class in {config.features.label}",
        given=f"the features {found}",
        remedy="Set the correct names, e.g. data.features: {image: image/encoded, label: image/class/text}",
    )


def _features(data: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return _example_class().FromString(data).features.feature
    except DecodeError:
        raise BadRecord("It is not a tf.Example.") from None


def _values(features: Any, name: str) -> list:
    if name not in features:
        raise BadRecord(f"It has no feature {name}.")
    feature = features[name]
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind else []


def _one_text(features: Any, name: str) -> str:
    values = _values(features, name)
    if len(values) != 1:
        raise BadRecord(f"Its feature {name} has {len(values)} values instead of one.")
    (value,) = values
    try:
        return (
            value.decode() if isinstance(value, bytes) else f"{value:g}" if isinstance(value, float) else str(value)
        ).strip()
    except UnicodeDecodeError:
        raise BadRecord(f"Its feature {name} is not valid UTF-8 text.") from None


@functools.cache
def _example_class() -> Any:
    """tf.train.Example from its published definition (tensorflow/core/example), without importing TensorFlow.

    It has a separate descriptor pool, because TensorFlow may register the same name in the default pool.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="restem/example.proto", package="tensorflow", syntax="proto3")

    def message(name: str, *fields: tuple, parent: Any = None) -> Any:
        made = (parent.nested_type if parent else file.message_type).add(name=name)
        for number, (label, kind, title, type_name) in enumerate(fields, 1):
            made.field.add(name=title, number=number, label=label, type=kind, type_name=type_name)
        return made

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    message("BytesList", (many, field.TYPE_BYTES, "value", None))
    message("FloatList", (many, field.TYPE_FLOAT, "value", None))
    message("Int64List", (many, field.TYPE_INT64, "value", None))
    kinds = ("BytesList", "FloatList", "Int64List")
    lists = [(one, field.TYPE_MESSAGE, name.replace("L", "_l").lower(), f".tensorflow.{name}") for name in kinds]
    feature = message("Feature", *lists)
    feature.oneof_decl.add(name="kind")
    for entry in feature.field:
        entry.oneof_index = 0
    features = message("Features", (many, field.TYPE_MESSAGE, "feature", ".tensorflow.Features.FeatureEntry"))
    entry = message(
        "FeatureEntry",
        (one, field.TYPE_STRING, "key", None),
        (one, field.TYPE_MESSAGE, "value", ".tensorflow.Feature"),
        parent=features,
    )
    entry.options.map_entry = True
    message("Example", (one, field.TYPE_MESSAGE, "features", ".tensorflow.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))
