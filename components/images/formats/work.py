"""Bounds how long a file can keep its decoder busy, before it is decoded.

Decoders are C libraries, which nothing can interrupt. So files are refused whose headers announce more work than their
pixels justify: thousands of scans over one image, millions of empty chunks, texts that unpack to gigabytes. The limits
are far above what programs write.
"""

import re
import struct
import zlib

from restem.images.header import UnreadableImage

_MOST_SEGMENTS = 10_000  # of a JPEG before its image data: colour profiles and previews take a few hundred
_MOST_SCANS = 100  # a progressive JPEG has about 10
_MOST_CHUNKS = 10_000  # of a PNG without image data
_MOST_DATA_CHUNKS = 1_000_000
_MOST_TEXT = 2**26  # unpacked bytes; the same limit as Pillow's
_MOST_BLOCKS = 10_000  # in front of a GIF's second frame, without image data: 2.5 MB
_MOST_BOXES = 10_000
_MOST_DICOM_ITEMS = 200_000

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_SCAN, _END = 0xDA, 0xD9
_SEQUENTIAL = (0xC0, 0xC1)  # frames with Huffman codes, not progressive
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_PNG_HEADER_BYTES = 33
_PACKED = {b"zTXt", b"iTXt", b"iCCP"}
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_GIF_HEADER_BYTES, _GIF_PALETTE, _GIF_COLOURS = 13, 0x80, 7
_GIF_EXTENSION, _GIF_FRAME, _GIF_DESCRIPTOR_BYTES = 0x21, 0x2C, 10
_DICOM_ITEM = b"\xfe\xff\x00\xe0"


def check_jpeg(data: bytes | memoryview) -> None:
    """Refuses a JPEG with too many segments or scans: each scan passes over all pixels.

    Raises:
      UnreadableImage: it has.
    """
    data = bytes(data)
    place, segments, scans = 2, 0, 0
    components = None  # of a sequential frame
    while place + 4 <= len(data) and data[place] == 0xFF:
        segments += 1
        if segments > _MOST_SEGMENTS + scans:
            raise too_much("JPEG", "segments before its image data", _MOST_SEGMENTS)
        marker, start = data[place + 1], place
        if marker == 0xFF:  # fill bytes
            place += 1
        elif marker in _ALONE:
            place += 2
        elif marker == _END:
            return
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if marker in _SEQUENTIAL:
            components = data[start + 9 : start + 10]
        if marker == _SCAN:
            if not scans:
                # libjpeg reads one scan alone if it has all components of a sequential frame.
                if components and data[start + 4 : start + 5] == components:
                    return
                if data.count(b"\xff\xda") <= _MOST_SCANS:  # in all of the file, with its previews
                    return
            scans += 1
            if scans > _MOST_SCANS:
                raise too_much("JPEG", "scans", _MOST_SCANS)
            found = _JPEG_MARKER.search(data, place)
            if found is None:
                return
            place = found.start()


def check_png(data: bytes) -> None:
    """Refuses a PNG with too many chunks, texts that unpack to too much, or more image data than its pixels need.

    Raises:
      UnreadableImage: it has.
    """
    if len(data) < _PNG_HEADER_BYTES:
        return
    width, height, depth, colours = struct.unpack_from(">IIBB", data, 16)
    raw = height * (2 + width * depth * _PNG_CHANNELS.get(colours, 4) // 8)
    place, chunks, data_chunks, packed, text = 8, 0, 0, 0, 0
    while place + 8 <= len(data):
        length, name = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        body = place + 8
        if name == b"IDAT":
            data_chunks += 1
            packed += length
        else:
            chunks += 1
            if name in _PACKED:
                text += _unpacked(data[body : body + length], name, _MOST_TEXT - text)
                if text >= _MOST_TEXT:
                    raise too_much("PNG", "bytes in its texts", _MOST_TEXT)
        if chunks > _MOST_CHUNKS:
            raise too_much("PNG", "chunks besides its image data", _MOST_CHUNKS)
        if data_chunks > _MOST_DATA_CHUNKS:
            raise too_much("PNG", "chunks", _MOST_DATA_CHUNKS)
        place = body + length + 4
    if packed > 2 * raw + 2**20:
        raise UnreadableImage(f"The PNG file has {packed:,} bytes of image data, but its pixels have only {raw:,}.")


def _unpacked(body: bytes, name: bytes, most: int) -> int:
    """How many bytes a text or colour profile has, up to about `most`."""
    start = body.find(b"\0") + 2
    if name == b"iTXt":
        if body[start - 1 : start] != b"\1":  # not compressed
            return 0
        start = body.find(b"\0", body.find(b"\0", start + 1) + 1) + 1  # behind the language and the translated word
    unpacking = zlib.decompressobj()
    size, rest = 0, body[start:]
    try:
        while rest and not unpacking.eof and size < most:
            size += len(unpacking.decompress(rest, 2**20))
            rest = unpacking.unconsumed_tail
    except zlib.error:  # Decoders ignore such a text.
        pass
    return size


def check_gif(data: bytes) -> None:
    """Refuses a GIF with too many blocks in front of its second frame; readers handle them one by one.

    Raises:
      UnreadableImage: it has.
    """
    if len(data) < _GIF_HEADER_BYTES:
        return
    place, blocks, frames = _GIF_HEADER_BYTES + _gif_palette(data[10]), 0, 0
    while place + 2 < len(data):
        if data[place] == _GIF_EXTENSION:
            place += 2
        elif data[place] == _GIF_FRAME and frames == 0 and place + _GIF_DESCRIPTOR_BYTES < len(data):
            frames += 1
            place += _GIF_DESCRIPTOR_BYTES + _gif_palette(data[place + _GIF_DESCRIPTOR_BYTES - 1]) + 1
            blocks -= (len(data) - place) // 64  # image data: most blocks have 255 bytes
        else:
            return
        while place < len(data) and data[place]:
            place += 1 + data[place]
            blocks += 1
            if blocks > _MOST_BLOCKS:
                raise too_much("GIF", "blocks besides its pixels", _MOST_BLOCKS)
        place += 1
        blocks += 1
        blocks = max(blocks, 0)


def _gif_palette(flags: int) -> int:
    return 3 * (2 << (flags & _GIF_COLOURS)) if flags & _GIF_PALETTE else 0


def check_dicom_items(data: bytes) -> None:
    """Refuses a DICOM file with too many items of sequences; pydicom makes objects of each.

    Raises:
      UnreadableImage: it has.
    """
    if data.count(_DICOM_ITEM) > _MOST_DICOM_ITEMS:
        raise too_much("DICOM", "items", _MOST_DICOM_ITEMS)


def check_boxes(kind: str, count: int) -> None:
    """Refuses a file of boxes (JPEG 2000, JPEG XL) with too many.

    Raises:
      UnreadableImage: it has.
    """
    if count > _MOST_BOXES:
        raise too_much(kind, "boxes", _MOST_BOXES)


def too_much(kind: str, what: str, most: int) -> UnreadableImage:
    """The refusal of a file that would take too long."""
    return UnreadableImage(f"The {kind} file has more than {most:,} {what}: decoding it could take very long.")
