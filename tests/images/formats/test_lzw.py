import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from restem.images.formats.lzw import check_lzw

RANDOM = np.random.default_rng(0)
CONTENTS = {
    "noise": RANDOM.integers(0, 256, 50_000, np.uint8),
    "three greys": RANDOM.integers(0, 3, 200_000, np.uint8),
    "white": np.full(3_000_000, 255, np.uint8),
    "few": np.arange(5, dtype=np.uint8),
    "one": np.zeros(1, np.uint8),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_valid_codes_pass(name):
    check_lzw(imagecodecs.lzw_encode(CONTENTS[name].tobytes()))


def test_libtiffs_output_passes():
    import tifffile

    buffer = io.BytesIO()
    Image.fromarray(CONTENTS["three greys"].reshape(400, 500)).save(buffer, "TIFF", compression="tiff_lzw")
    data = buffer.getvalue()
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            check_lzw(data[start : start + count])


def test_it_agrees_with_the_decoders_own_check():
    """imagecodecs checks all codes only if the size is not given; tifffile always gives it."""
    whole = imagecodecs.lzw_encode((np.arange(6000) % 97 * 3 % 256).astype(np.uint8).tobytes())
    verdicts = []
    for _ in range(500):
        data = bytearray(whole)
        for place in RANDOM.integers(2, len(data), 2):
            data[place] = RANDOM.integers(256)
        verdicts.append((passes(check_lzw, bytes(data)), passes(imagecodecs.lzw_decode, bytes(data))))
    assert all(ours == theirs for ours, theirs in verdicts)
    assert 50 < sum(ours for ours, _ in verdicts) < 450


def test_reading_continues_when_the_table_stays_full():
    """Codes keep 12 bits if no clear code follows; some writers omit it."""
    table = [256, *(k % 256 for k in range(4000))]
    lengths = [9, *(min(12, (258 + max(k - 1, 0) + 1).bit_length()) for k in range(4000))]
    bits = "".join(f"{code:0{length}b}" for code, length in zip(table, lengths, strict=True))
    bits += "".join(f"{code:012b}" for code in [5, 4095, 257])
    check_lzw(bytes(int(bits[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(bits), 8)))


def test_reversed_bits_are_reported():
    with pytest.raises(ValueError, match=r"LZW from before TIFF 6\.0"):
        check_lzw(b"\x00\x01" + bytes(20))


def passes(function, data: bytes) -> bool:
    try:
        function(data)
    except (ValueError, RuntimeError):  # imagecodecs raises RuntimeError.
        return False
    return True
