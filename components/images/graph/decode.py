"""Encoded bytes -> pixels with the configured channels and depth, as TensorFlow graph code.

What each kind of file becomes:

- Depth: with `bits: 8`, 16-bit images are `round(v / 257)`, the PNG specification's own rescaling (65535 -> 255); with
  `bits: 16`, 8-bit images are `257 v`. 1, 2 and 4 bits fill 0..255. `value_range` takes the place of 0..65535.
- Grey to RGB: replicated. RGB to grey: Rec. 601 luma on the stored (gamma-encoded, not linear) values,
  0.299 R + 0.587 G + 0.114 B, in the integers of Pillow's `convert("L")`, hence equal to it.
- Alpha, palette transparency and a PNG's transparent colour: dropped, the stored colour stands (as Pillow's
  `convert("RGB")`); with a `background` the image is laid on it, on the stored values too: `round((a v + (white - a) b)
  / white)`. The second of two channels and the fourth of four are alpha. With `bands` the file's channels are taken
  raw, alpha included.
- CMYK and YCCK JPEG: RGB by `(255 - ink)(255 - black) / 255`, no colour profile is applied.
- GIF: the first frame, where it is opaque and fills the picture. BMP: 8 bits with palette or grey, 24 bits, 32 bits
  (the fourth byte is dropped: it is filler).
- A JPEG's EXIF orientation is applied. Embedded gamma or colour profiles are not.
- What TensorFlow cannot decode (TIFF, WebP, NumPy's arrays, other BMP and GIF files) comes as a PNG or in the raw
  container, as `restem.images.container` describes.

A file that cannot be decoded whole raises tf.errors.InvalidArgumentError.
"""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from restem.images import container
from restem.images.config import ImageConfig
from restem.images.graph.channels import pick_bands, to_channels
from restem.images.graph.gif import is_plain, picture_size
from restem.images.graph.orientation import upright
from restem.images.graph.png import with_transparent_colour
from restem.images.graph.raw_bytes import first_bytes, little_endian

_HEADER_BYTES = 54
# Offsets in bytes of what is read from the headers.
_PNG_BIT_DEPTH_AT = 24
_BMP_DIB_SIZE_AT = 14
_BMP_BITS_AT = 28
_BMP_COMPRESSION_AT = 30
_BMP_COLOURS_USED_AT = 46

NOT_READ = (
    "this is not a PNG, JPEG, BMP or GIF file; TIFF, WebP and NumPy files are to be sent as "
    "restem.images.encode_for_serving makes them"
)
BMP_NOT_READ = "only uncompressed BMP files of 8, 24 or 32 bits are read"
GIF_NOT_READ = (
    "only GIF files without transparency are read, whose first frame fills the picture; others are to be sent as "
    "restem.images.encode_for_serving makes them"
)
RANGE_NEEDED = "floating point values have no meaning without image.value_range: [black, white]"


@dataclass(frozen=True)
class Depth:
    """What becomes of stored values.

    bits: 8 or 16: uint8 or uint16 comes out.
    value_range: the stored values that mean black and white, where more than 8 bits are stored.
    """

    bits: int = 8
    value_range: tuple[float, float] | None = None

    def of_8_bits(self, values: tf.Tensor) -> tf.Tensor:
        """uint8 values, 0..255, at this depth."""
        return values if self.bits == 8 else tf.cast(values, tf.uint16) * 257

    def of_16_bits(self, values: tf.Tensor) -> tf.Tensor:
        """uint16 values at this depth."""
        if self.value_range is not None:
            return self._between(values, *self.value_range)
        if self.bits == 16:
            return values
        return tf.cast((tf.cast(values, tf.int32) + 128) // 257, tf.uint8)

    def of_floats(self, values: tf.Tensor) -> tf.Tensor:
        """float32 values at this depth; refused where the range is not known. No number (NaN) is black."""
        if self.value_range is None:
            with tf.control_dependencies([tf.debugging.Assert(False, [RANGE_NEEDED])]):
                return self.empty()
        return self._between(values, *self.value_range)

    def empty(self) -> tf.Tensor:
        """No pixels at all: what stands in the graph after a refusal."""
        return tf.zeros([0, 0, 0], tf.uint8 if self.bits == 8 else tf.uint16)

    def _between(self, values: tf.Tensor, black: float, white: float) -> tf.Tensor:
        top = 2**self.bits - 1
        # 64 bits: the formula's own rounding then never decides between two grey levels.
        scaled = (tf.cast(values, tf.float64) - black) * (top / (white - black))
        scaled = tf.where(tf.math.is_nan(scaled), tf.zeros([], tf.float64), tf.clip_by_value(scaled, 0.0, float(top)))
        return tf.cast(tf.round(scaled), tf.uint8 if self.bits == 8 else tf.uint16)


def decode(image_bytes: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """Decodes one image of any size.

    Args:
      image_bytes: string scalar, the encoded file.
      config: says which channels come out and how deep; its size is not used.

    Returns:
      uint8 or uint16 (config.dtype) [height, width, config.count], values 0..config.white, in the order of
      config.names.

    Raises:
      tf.errors.InvalidArgumentError: no such format, damaged, floating point without a range, or not as many channels
        as config.bands names.
    """
    laid = config.background is not None and config.bands is None
    pixels = decode_raw(image_bytes, Depth(config.bits, config.value_range), transparent_colour=laid)
    pixels = pick_bands(pixels, config) if config.bands is not None else to_channels(pixels, config)
    return tf.ensure_shape(pixels, [None, None, config.count])


def decode_raw(image_bytes: tf.Tensor, depth: Depth = Depth(), *, transparent_colour: bool = False) -> tf.Tensor:
    """Decodes one image without changing its channels.

    Args:
      image_bytes: string scalar, the encoded file.
      depth: how deep the values come out.
      transparent_colour: whether a colour that a PNG names as transparent becomes an alpha channel.

    Returns:
      uint8 or uint16 [height, width, channels]: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha, or bands.
    """
    image_bytes = tf.reshape(image_bytes, [])
    decoders = [
        (b"\xff\xd8\xff", lambda data: depth.of_8_bits(_decode_jpeg(data))),
        (b"\x89PNG\r\n\x1a\n", lambda data: _decode_png(data, depth, transparent_colour)),
        (b"GIF8", lambda data: depth.of_8_bits(_decode_gif(data))),
        (b"BM", lambda data: depth.of_8_bits(_decode_bmp(data))),
        (container.SIGNATURE, lambda data: _decode_container(data, depth)),
    ]
    return _by_start(image_bytes, decoders, depth)


def _by_start(
    image_bytes: tf.Tensor, decoders: list[tuple[bytes, Callable[[tf.Tensor], tf.Tensor]]], depth: Depth
) -> tf.Tensor:
    """Decodes with the first decoder whose signature the file starts with.

    Nested conditions, not tf.switch_case: tf.Transform cannot hash an operation that holds a list of functions.
    """
    if not decoders:
        # The file's first bytes would help in the message, but TensorFlow's errors must be valid UTF-8.
        with tf.control_dependencies([tf.debugging.Assert(False, [NOT_READ])]):
            return depth.empty()
    (start, decoder), *others = decoders
    return tf.cond(
        tf.strings.substr(image_bytes, 0, len(start)) == start,
        lambda: decoder(image_bytes),
        lambda: _by_start(image_bytes, others, depth),
    )


def _decode_jpeg(image_bytes: tf.Tensor) -> tf.Tensor:
    # The default transform is the fast one, up to 4 grey levels away from the exact one that others (Pillow) use.
    pixels = tf.io.decode_jpeg(image_bytes, channels=0, dct_method="INTEGER_ACCURATE")
    return upright(pixels, image_bytes)


def _decode_png(image_bytes: tf.Tensor, depth: Depth, transparent_colour: bool) -> tf.Tensor:
    def decoded(kind: tf.DType) -> tf.Tensor:
        pixels = tf.io.decode_png(image_bytes, channels=0, dtype=kind)
        return with_transparent_colour(pixels, image_bytes) if transparent_colour else pixels

    return tf.cond(
        first_bytes(image_bytes, _HEADER_BYTES)[_PNG_BIT_DEPTH_AT] == 16,
        lambda: depth.of_16_bits(decoded(tf.uint16)),
        lambda: depth.of_8_bits(decoded(tf.uint8)),
    )


def _decode_gif(image_bytes: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.debugging.Assert(is_plain(image_bytes), [GIF_NOT_READ])]):
        pixels = tf.io.decode_image(image_bytes, channels=3, expand_animations=False)
    # A later frame that is larger would stand in TensorFlow's size.
    fits = tf.reduce_all(tf.equal(tf.shape(pixels)[:2], picture_size(image_bytes)))
    with tf.control_dependencies([tf.debugging.Assert(fits, [GIF_NOT_READ])]):
        return tf.ensure_shape(pixels, [None, None, 3])


def _decode_bmp(image_bytes: tf.Tensor) -> tf.Tensor:
    header = first_bytes(image_bytes, _HEADER_BYTES)
    bits = _number(header, _BMP_BITS_AT, 2)
    plain = tf.equal(_number(header, _BMP_COMPRESSION_AT, 4), 0)
    known = tf.reduce_any(tf.equal(bits, [8, 24, 32])) & (_number(header, _BMP_DIB_SIZE_AT, 4) >= 40)
    with tf.control_dependencies([tf.debugging.Assert(plain & known, [BMP_NOT_READ])]):
        header = tf.identity(header)  # What is read of it below waits for the check too.
        pixels = tf.io.decode_bmp(image_bytes, channels=0)

    def through_palette() -> tf.Tensor:
        # TensorFlow gives the palette's indices as if they were grey levels.
        start = _BMP_DIB_SIZE_AT + _number(header, _BMP_DIB_SIZE_AT, 4)
        start = tf.clip_by_value(start, 0, tf.strings.length(image_bytes))
        used = _number(header, _BMP_COLOURS_USED_AT, 4)
        colours = tf.where(used == 0, 256, tf.minimum(used, 256))
        entries = tf.io.decode_raw(tf.strings.substr(image_bytes, start, 4 * colours), tf.uint8)
        palette = tf.reverse(tf.reshape(entries, [colours, 4])[:, :3], axis=[1])
        return tf.gather(palette, tf.cast(pixels[..., 0], tf.int32))

    return tf.cond(bits == 8, through_palette, lambda: pixels[..., :3])


def _decode_container(image_bytes: tf.Tensor, depth: Depth) -> tf.Tensor:
    header = first_bytes(image_bytes, _HEADER_BYTES)
    height, width = (_number(header, at, 4) for at in (container.HEIGHT_AT, container.WIDTH_AT))
    shape = tf.stack([height, width, _number(header, container.CHANNELS_AT, 2)])
    # A header that is cut short has no stream behind it: an empty one is refused by the reshape below.
    behind = tf.minimum(container.HEADER_BYTES, tf.strings.length(image_bytes))
    stream = tf.strings.substr(image_bytes, behind, 2**31 - 1)
    values = tf.io.decode_compressed(stream, compression_type="ZLIB")

    def of(kind: tf.DType, at_depth: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[], tf.Tensor]:
        return lambda: at_depth(tf.reshape(tf.io.decode_raw(values, kind), shape))

    kind = header[container.TYPE_AT]
    return tf.cond(
        kind == container.TYPES["uint8"],
        of(tf.uint8, depth.of_8_bits),
        lambda: tf.cond(
            kind == container.TYPES["uint16"], of(tf.uint16, depth.of_16_bits), of(tf.float32, depth.of_floats)
        ),
    )


def _number(header: tf.Tensor, position: int, length: int) -> tf.Tensor:
    return little_endian(header[position : position + length])
