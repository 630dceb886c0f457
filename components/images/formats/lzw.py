"""Whether LZW data of a TIFF are whole codes, before they are decoded.

imagecodecs, which decodes them, follows codes that name no entry of the table into memory that is not its own: of a
damaged file it gives noise, and now and then the process ends. TIFF 6.0, section 13, is what is checked here.
"""

import numpy as np

_CLEAR, _END = 256, 257
_FIRST_ENTRY = 258
_MOST_BITS = 12
_CODES = 4096

# Of the codes behind a clear code: an entry comes with each but the first, and a code is one bit longer when the table
# lacks one entry to fill it (sizes 511, 1023 and 2047).
_ENTRIES = _FIRST_ENTRY + np.maximum(np.arange(_CODES) - 1, 0)
_GROWING = np.minimum(np.floor(np.log2(_ENTRIES + 1)).astype(np.int64) + 1, _MOST_BITS)
_GROWING_ENDS = np.cumsum(_GROWING)
_NAMED = np.where(np.arange(_CODES) == 0, _CLEAR - 1, _ENTRIES)  # A code may name the entry that comes with it.
# Where no clear code comes when the table is full, all codes stay that long.
_LONG = np.full(_CODES, _MOST_BITS)
_LONG_ENDS = np.cumsum(_LONG)
_ANY = np.full(_CODES, 2**_MOST_BITS)


def check_lzw(data: bytes | bytearray) -> None:
    """Looks through a strip or tile as it is stored, its bits in the usual order.

    Raises:
      ValueError: a code names what is not there, or it is LZW of before TIFF 6.0, with its bits the other way round.
    """
    if len(data) > 1 and data[0] == 0 and data[1] & 1:
        raise ValueError("LZW of before TIFF 6.0")
    stored = np.frombuffer(data + bytes(3), np.uint8)
    size = 8 * len(data)
    position, full = 0, False
    while position < size:
        ends, lengths, most = (_LONG_ENDS, _LONG, _ANY) if full else (_GROWING_ENDS, _GROWING, _NAMED)
        count = int(np.searchsorted(ends, size - position, side="right"))
        ends, lengths = position + ends[:count], lengths[:count]
        starts = ends - lengths
        at = starts >> 3
        first, second, third = (stored[at + i].astype(np.int64) for i in range(3))
        codes = (first << 16 | second << 8 | third) >> (24 - (starts & 7) - lengths) & ((1 << lengths) - 1)
        marks = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        stop = int(marks[0]) if marks.size else count
        if (codes[:stop] > most[:stop]).any():
            raise ValueError("an LZW code names what is not there")
        if marks.size:
            if codes[stop] == _END:
                return
            position, full = int(ends[stop]), False
        elif count == _CODES:
            position, full = int(ends[-1]), True
        else:  # The data end without a mark, as many do.
            return
