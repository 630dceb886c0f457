"""Serializes examples with large values: protobuf would copy an image five times on the way.

The encoding is that of protobuf's wire format: a field is a tag, (its number << 3) | 2, the length of its value as a
varint, and the value. Example has Features in field 1; Features has a map in field 1, whose entries have the name in 1
and the Feature in 2; Feature has BytesList in 1; BytesList has its values in 1.
"""

import tensorflow as tf

_FIRST, _SECOND = b"\x0a", b"\x12"  # tags


def serialized_example(features: tf.train.Features, values: dict[str, bytes]) -> bytes:
    """A serialized tf.train.Example.

    Args:
      features: small ones.
      values: further features with one value each, which are copied once.
    """
    parts = [features.SerializeToString()]
    for name, value in values.items():
        key = _field(_FIRST, name.encode())
        # The inner lengths come first: from the value outwards.
        heads = [_FIRST, _FIRST, _SECOND]
        before = b""
        for tag in heads:
            before = tag + _varint(len(before) + len(value)) + before
        parts += [_FIRST, _varint(len(key) + len(before) + len(value)), key, before, value]
    return b"".join([_FIRST, _varint(sum(map(len, parts))), *parts])


def _field(tag: bytes, value: bytes) -> bytes:
    return tag + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have the highest bit."""
    result = bytearray()
    while number > 127:
        result.append(number & 127 | 128)
        number >>= 7
    return bytes([*result, number])
