import numpy as np
import pytest
from PIL import Image

from components.errors import RestemError
from components.images.config import ImageConfig
from pipeline.config import load_config
from pipeline.contact_sheet import CAPTION, MARGIN, as_rgb, draw, write_contact_sheet
from pipeline.inspection import inspect


def test_the_picture_shows_the_models_own_pixels(write, images, tmp_path):
    """Grey images of 20 x 30 at their own size: the picture holds the very pixels, enlarged."""
    config = load_config(write(), ["image={size: [20, 30], channels: 1}"])
    inspection = inspect(config, samples=3)
    assert [look.file.label for look in inspection.samples] == ["cat"] * 3 + ["dog"] * 3
    write_contact_sheet(tmp_path / "new" / "sheet.png", inspection.samples, config.image)
    sheet = np.asarray(Image.open(tmp_path / "new" / "sheet.png"))
    first = np.asarray(Image.open(images / inspection.samples[0].file.path))
    height, width = round(20 * 64 / 30), 64
    shown = sheet[2 * CAPTION : 2 * CAPTION + height, MARGIN : MARGIN + width]
    expected = Image.fromarray(first).resize((width, height), Image.Resampling.NEAREST)
    assert np.array_equal(shown, np.repeat(np.asarray(expected)[..., None], 3, axis=-1))


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (2, np.uint8), (3, np.uint16), (5, np.uint16)])
def test_any_number_of_channels_and_depth_can_be_shown(channels, dtype):
    pixels = np.full((4, 6, channels), np.iinfo(dtype).max, dtype)
    rgb = as_rgb(pixels)
    assert (rgb.shape, rgb.dtype) == ((4, 6, 3), np.uint8)
    assert rgb[0, 0].tolist() == ([255, 255, 0] if channels == 2 else [255, 255, 255])


def test_large_images_become_small_and_names_may_be_anything():
    rows = {"ä 犬": [np.zeros((900, 300, 3), np.uint8)] * 5, "b": [np.zeros((900, 300, 3), np.uint8)]}
    sheet = draw(rows, ImageConfig(size=(900, 300)))
    assert sheet.width < 500
    assert sheet.height < 600


def test_nothing_to_show_and_nowhere_to_write_are_told(write, images, tmp_path):
    config = load_config(write())
    with pytest.raises(RestemError, match="no readable training image"):
        write_contact_sheet(tmp_path / "sheet.png", (), config.image)
    (tmp_path / "file").touch()
    with pytest.raises(RestemError, match="cannot be written"):
        write_contact_sheet(tmp_path / "file" / "x.png", inspect(config, samples=1).samples, config.image)
