import io

import numpy as np
import pytest
from PIL import Image

from restem.images.small import BOX_PIXELS, encode_small


@pytest.mark.parametrize("shape", [(BOX_PIXELS, BOX_PIXELS, 3), (1, BOX_PIXELS), (4000, 30), (500, 900, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_picture_is_small_whatever_it_shows(shape, dtype):
    noise = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    content, media_type = encode_small(noise)
    assert len(content) < 40_000
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.get_format_mimetype() == media_type
        assert max(picture.size) <= BOX_PIXELS


def test_a_small_picture_keeps_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8)
    content, media_type = encode_small(pixels)
    assert media_type == "image/png"
    assert (np.asarray(Image.open(io.BytesIO(content))) == pixels).all()
