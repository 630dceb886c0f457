"""Checks that the LZW data of a TIFF contain only valid codes, before they are decoded.

imagecodecs, the decoder, reads outside its buffers if a code refers to a missing table entry. For a damaged file it
then returns noise, and sometimes the process crashes. The check follows TIFF 6.0, section 13.
"""

import numpy as np

_CLEAR, _END = 256, 257
_FIRST_ENTRY = 258
_MOST_BITS = 12
_CODES = 4096

# After a clear code, each code except the first adds an entry. Codes become one bit longer one entry before the table
# is full (sizes 511, 1023 and 2047).
_ENTRIES = _FIRST_ENTRY + np.maximum(np.arange(_CODES) - 1, 0)
_GROWING = np.minimum(np.floor(np.log2(_ENTRIES + 1)).astype(np.int64) + 1, _MOST_BITS)
_GROWING_ENDS = np.cumsum(_GROWING)
_NAMED = np.where(np.arange(_CODES) == 0, _CLEAR - 1, _ENTRIES)  # A code may refer to the entry that it adds.
# If no clear code follows when the table is full, all codes keep that length.
_LONG = np.full(_CODES, _MOST_BITS)
_LONG_ENDS = np.cumsum(_LONG)
_ANY = np.full(_CODES, 2**_MOST_BITS)


def check_lzw(data: bytes | bytearray | memoryview) -> None:
    """Checks a strip or tile as stored, with its bits in the usual order.

    Raises:
      ValueError: a code refers to a missing entry, or this is LZW from before TIFF 6.0, with reversed bits.
    """
    if len(data) > 1 and data[0] == 0 and data[1] & 1:
        raise ValueError("LZW from before TIFF 6.0")
    stored = np.frombuffer(data, np.uint8)
    last = max(0, len(data) - 1)
    size = 8 * len(data)
    position, full = 0, False
    while position < size:
        ends, lengths, most = (_LONG_ENDS, _LONG, _ANY) if full else (_GROWING_ENDS, _GROWING, _NAMED)
        count = int(np.searchsorted(ends, size - position, side="right"))
        ends, lengths = position + ends[:count], lengths[:count]
        starts = ends - lengths
        at = starts >> 3
        # A code has at most 12 bits. What is read again behind the end is shifted out.
        first, second, third = (stored[np.minimum(at + i, last)].astype(np.int64) for i in range(3))
        codes = (first << 16 | second << 8 | third) >> (24 - (starts & 7) - lengths) & ((1 << lengths) - 1)
        marks = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        stop = int(marks[0]) if marks.size else count
        if (codes[:stop] > most[:stop]).any():
            raise ValueError("an LZW code refers to a missing entry")
        if marks.size:
            if codes[stop] == _END:
                return
            position, full = int(ends[stop]), False
        elif count == _CODES:
            position, full = int(ends[-1]), True
        else:  # The data end without an end code, as in many files.
            return
