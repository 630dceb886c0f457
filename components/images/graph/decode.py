"""Encoded bytes -> pixels with the configured channels and depth, as TensorFlow graph code.

How files are converted:

- Depth: with `bits: 8`, 16-bit values become `round(v / 257)`, the rescaling of the PNG specification (65535 -> 255);
  with `bits: 16`, 8-bit values become `257 v`. 1, 2 and 4 bits are scaled to 0..255. `value_range` replaces 0..65535.
- Grey to RGB: replicated. RGB to grey: Rec. 601 luma of the stored (gamma-encoded, not linear) values,
  0.299 R + 0.587 G + 0.114 B, with the integers of Pillow's `convert("L")` and therefore the same result.
- Alpha, palette transparency and a PNG's transparent colour: dropped, and the stored colour is used (like Pillow's
  `convert("RGB")`). With a `background`, the stored values are blended with it: `round((a v + (white - a) b) / white)`.
  The second of two channels and the fourth of four are alpha. With `bands`, the file's channels are used unchanged,
  including alpha.
- CMYK and YCCK JPEG: RGB = `(255 - ink)(255 - black) / 255`; no colour profile is applied.
- No data (`nodata`): black, or the background, see `restem.images.graph.missing`.
- GIF: the first frame, if it is opaque and fills the picture. BMP: 8 bits with palette or grey, 24 bits, 32 bits
  (the fourth byte is padding and is dropped).
- A JPEG's EXIF orientation is applied. Embedded gamma or colour profiles are not.
- Files that TensorFlow cannot decode (TIFF, WebP, NumPy arrays, other BMP and GIF files) must be converted to a PNG or
  the raw container first, see `restem.images.container`.

A file that cannot be decoded completely raises tf.errors.InvalidArgumentError.
"""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from restem.images import container
from restem.images.config import ImageConfig
from restem.images.graph import missing
from restem.images.graph.channels import pick_bands, to_channels
from restem.images.graph.gif import is_plain, picture_size
from restem.images.graph.orientation import upright
from restem.images.graph.png import with_transparent_colour
from restem.images.graph.raw_bytes import first_bytes, little_endian
from restem.images.graph.signatures import BMP, GIF, JPEG, PNG, OfFile, by_start
from restem.images.nodata import Nodata

_HEADER_BYTES = 54
# Byte offsets of header fields.
_PNG_BIT_DEPTH_AT = 24
_BMP_DIB_SIZE_AT = 14
_BMP_BITS_AT = 28
_BMP_COMPRESSION_AT = 30
_BMP_COLOURS_USED_AT = 46

NOT_READ = "this is not a PNG, JPEG, BMP or GIF file; convert other formats with restem.images.encode_for_serving"
BMP_NOT_READ = "only uncompressed BMP files with 8, 24 or 32 bits are supported"
GIF_NOT_READ = (
    "only GIF files without transparency, whose first frame fills the picture, are supported; convert others with "
    "restem.images.encode_for_serving"
)
RANGE_NEEDED = "floating point values have no meaning without image.value_range: [black, white]"


@dataclass(frozen=True)
class Depth:
    """How stored values are converted.

    bits: 8 or 16, for uint8 or uint16 results.
    value_range: the stored values for black and white, for files with more than 8 bits.
    nodata: if given, results have twice as many channels: behind the file's there is one more for each, with 1 where
      it has no data and 0 elsewhere.
    strict: whether images are refused in which pixels without data cannot be told from others: with NaN or infinity
      that `nodata` does not mark, or JPEGs if it needs exact values. Otherwise NaN is black.
    """

    bits: int = 8
    value_range: tuple[float, float] | None = None
    nodata: Nodata | None = None
    strict: tf.Tensor | bool = True

    def of_8_bits(self, values: tf.Tensor) -> tf.Tensor:
        """Converts uint8 values, 0..255, to this depth."""
        return self._marked(values, values if self.bits == 8 else tf.cast(values, tf.uint16) * 257)

    def of_lossy(self, values: tf.Tensor) -> tf.Tensor:
        """Converts a JPEG's uint8 values; fails if a stored value or a mask must be found in them."""
        if self.nodata is not None and self.nodata.needs_exact_values:
            with tf.control_dependencies([tf.debugging.Assert(tf.logical_not(self.strict), [missing.LOSSY])]):
                values = tf.identity(values)
        return self.of_8_bits(values)

    def of_16_bits(self, values: tf.Tensor) -> tf.Tensor:
        """Converts uint16 values to this depth."""
        if self.value_range is not None:
            return self._marked(values, self._between(values, *self.value_range))
        if self.bits == 16:
            return self._marked(values, values)
        return self._marked(values, tf.cast((tf.cast(values, tf.int32) + 128) // 257, tf.uint8))

    def of_floats(self, values: tf.Tensor) -> tf.Tensor:
        """Converts float32 or float64 values to this depth; fails without a value range, and for unmarked NaN."""
        if self.value_range is None:
            with tf.control_dependencies([tf.debugging.Assert(False, [RANGE_NEEDED])]):
                return self.empty()
        marked = tf.zeros_like(values, tf.bool) if self.nodata is None else missing.marks(values, self.nodata)
        known = ~tf.reduce_any(missing.not_finite(values, marked))
        with tf.control_dependencies([tf.debugging.Assert(known | tf.logical_not(self.strict), [missing.NOT_FINITE])]):
            values = tf.identity(values)
        return self._marked(values, self._between(values, *self.value_range))

    def empty(self) -> tf.Tensor:
        """No pixels: the graph's output after a failed assertion."""
        return tf.zeros([0, 0, 0], tf.uint8 if self.bits == 8 else tf.uint16)

    def _marked(self, values: tf.Tensor, converted: tf.Tensor) -> tf.Tensor:
        if self.nodata is None:
            return converted
        return tf.concat([converted, tf.cast(missing.marks(values, self.nodata), converted.dtype)], -1)

    def _between(self, values: tf.Tensor, black: float, white: float) -> tf.Tensor:
        top = 2**self.bits - 1
        # With 64 bits, rounding errors in the formula never change the grey level.
        scaled = (tf.cast(values, tf.float64) - black) * (top / (white - black))
        scaled = tf.where(tf.math.is_nan(scaled), tf.zeros([], tf.float64), tf.clip_by_value(scaled, 0.0, float(top)))
        return tf.cast(tf.round(scaled), tf.uint8 if self.bits == 8 else tf.uint16)


class ShapeOnly(Depth):
    """Instead of a depth: `decode_raw` then decodes the whole image, and returns only its shape, int32 [3].

    So a check of the file costs no more memory than the decoded pixels.
    """

    def of_8_bits(self, values: tf.Tensor) -> tf.Tensor:
        """The shape."""
        return tf.shape(values)

    of_16_bits = of_floats = of_lossy = of_8_bits

    def empty(self) -> tf.Tensor:
        """The graph's output after a failed assertion."""
        return tf.zeros([3], tf.int32)


class Counts(Depth):
    """Instead of a depth: `decode_raw` then returns `missing.counts` of the image, int64 [5]."""

    def of_8_bits(self, values: tf.Tensor) -> tf.Tensor:
        """The counts."""
        assert self.nodata is not None
        return missing.counts(values, self.nodata)

    of_16_bits = of_floats = of_lossy = of_8_bits

    def empty(self) -> tf.Tensor:
        """The graph's output after a failed assertion."""
        return tf.zeros([5], tf.int64)


def decode(image_bytes: tf.Tensor, config: ImageConfig, *, strict: tf.Tensor | bool = True) -> tf.Tensor:
    """Decodes one image of any size.

    Args:
      image_bytes: string scalar, the encoded file.
      config: the channels and depth of the result; its size is not used.
      strict: see `Depth`.

    Returns:
      uint8 or uint16 (config.dtype) [height, width, config.count], values 0..config.white, in the order of
      config.names.

    Raises:
      tf.errors.InvalidArgumentError: the file is in another format, damaged, or floating point without a range, or its
        number of channels differs from config.bands.
    """
    if config.nodata is not None:
        return decode_marked(image_bytes, config, strict=strict)[..., : config.count]
    depth = Depth(config.bits, config.value_range, strict=strict)
    pixels = decode_raw(image_bytes, depth, transparent_colour=is_blended(config))
    pixels = pick_bands(pixels, config) if config.bands is not None else to_channels(pixels, config)
    return tf.ensure_shape(pixels, [None, None, config.count])


def decode_marked(image_bytes: tf.Tensor, config: ImageConfig, *, strict: tf.Tensor | bool = True) -> tf.Tensor:
    """`decode` with image.nodata, and which values have no data.

    Returns:
      config.dtype [height, width, 2 config.count]: the result of `decode`, in which pixels without data are filled,
      and for each channel 1 where it has no data, 0 elsewhere.

    Raises:
      tf.errors.InvalidArgumentError: as `decode`; or the file is a JPEG, and image.nodata needs exact values.
    """
    depth = Depth(config.bits, config.value_range, config.nodata_rule, strict)
    both = decode_raw(image_bytes, depth, transparent_colour=is_blended(config))
    channels = tf.shape(both)[-1] // 2
    filled = missing.fill(both[..., :channels], both[..., channels:] != 0, config)
    return tf.ensure_shape(filled, [None, None, 2 * config.count])


def is_blended(config: ImageConfig) -> bool:
    """Whether transparency shows a background: then the decoders must tell a PNG's transparent colour."""
    return config.background is not None and config.bands is None


def decode_raw(image_bytes: tf.Tensor, depth: Depth = Depth(), *, transparent_colour: bool = False) -> tf.Tensor:
    """Decodes one image without changing its channels.

    Args:
      image_bytes: string scalar, the encoded file.
      depth: the depth of the result.
      transparent_colour: whether to turn a PNG's transparent colour into an alpha channel.

    Returns:
      uint8 or uint16 [height, width, channels]: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha, or bands.
    """
    by_format = decoders(depth, transparent_colour=transparent_colour)
    return by_start(tf.reshape(image_bytes, []), by_format, lambda _: _not_read(depth))


def decoders(depth: Depth, *, transparent_colour: bool = False) -> list[tuple[bytes, OfFile]]:
    """The decoder of each format, as `decode_raw` uses it, behind the first bytes of its files."""
    return [
        (JPEG, lambda data: depth.of_lossy(upright(jpeg_pixels(data), data))),
        (PNG, lambda data: _decode_png(data, depth, transparent_colour)),
        (GIF, lambda data: depth.of_8_bits(_decode_gif(data))),
        (BMP, lambda data: depth.of_8_bits(_decode_bmp(data))),
        (container.SIGNATURE, lambda data: _decode_container(data, depth)),
    ]


def _not_read(depth: Depth) -> tf.Tensor:
    # The message does not show the file's first bytes, because TensorFlow's errors must be valid UTF-8.
    with tf.control_dependencies([tf.debugging.Assert(False, [NOT_READ])]):
        return depth.empty()


def jpeg_pixels(image_bytes: tf.Tensor) -> tf.Tensor:
    """A JPEG's pixels as they are stored, before its EXIF orientation."""
    # The default DCT is faster, but differs by up to 4 grey levels from the exact one that Pillow and others use.
    return tf.io.decode_jpeg(image_bytes, channels=0, dct_method="INTEGER_ACCURATE")


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
    # TensorFlow's image would be larger if a later frame were larger.
    fits = tf.reduce_all(tf.equal(tf.shape(pixels)[:2], picture_size(image_bytes)))
    with tf.control_dependencies([tf.debugging.Assert(fits, [GIF_NOT_READ])]):
        return tf.ensure_shape(pixels, [None, None, 3])


def _decode_bmp(image_bytes: tf.Tensor) -> tf.Tensor:
    header = first_bytes(image_bytes, _HEADER_BYTES)
    bits = _number(header, _BMP_BITS_AT, 2)
    plain = tf.equal(_number(header, _BMP_COMPRESSION_AT, 4), 0)
    known = tf.reduce_any(tf.equal(bits, [8, 24, 32])) & (_number(header, _BMP_DIB_SIZE_AT, 4) >= 40)
    with tf.control_dependencies([tf.debugging.Assert(plain & known, [BMP_NOT_READ])]):
        header = tf.identity(header)  # Reads of the header below also wait for the check.
        pixels = tf.io.decode_bmp(image_bytes, channels=0)

    def through_palette() -> tf.Tensor:
        # TensorFlow returns palette indices as if they were grey levels.
        start = _BMP_DIB_SIZE_AT + _number(header, _BMP_DIB_SIZE_AT, 4)
        start = tf.clip_by_value(start, 0, tf.strings.length(image_bytes))
        used = _number(header, _BMP_COLOURS_USED_AT, 4)
        colours = tf.where(used == 0, 256, tf.minimum(used, 256))
        entries = tf.io.decode_raw(tf.strings.substr(image_bytes, start, 4 * colours), tf.uint8)
        palette = tf.reverse(tf.reshape(entries, [colours, 4])[:, :3], axis=[1])
        # An index beyond the palette is black, as in browsers.
        palette = tf.pad(palette, [[0, 256 - colours], [0, 0]])
        return tf.gather(palette, tf.cast(pixels[..., 0], tf.int32))

    return tf.cond(bits == 8, through_palette, lambda: tf.cond(bits == 24, lambda: pixels, lambda: pixels[..., :3]))


def _decode_container(image_bytes: tf.Tensor, depth: Depth) -> tf.Tensor:
    header = first_bytes(image_bytes, _HEADER_BYTES)
    height, width = (_number(header, at, 4) for at in (container.HEIGHT_AT, container.WIDTH_AT))
    shape = tf.stack([height, width, _number(header, container.CHANNELS_AT, 2)])
    # A truncated header has no stream after it; the reshape below refuses the empty stream.
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
            kind == container.TYPES["uint16"],
            of(tf.uint16, depth.of_16_bits),
            lambda: tf.cond(
                kind == container.TYPES["float64"], of(tf.float64, depth.of_floats), of(tf.float32, depth.of_floats)
            ),
        ),
    )


def _number(header: tf.Tensor, position: int, length: int) -> tf.Tensor:
    return little_endian(header[position : position + length])
