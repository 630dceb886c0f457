import numpy as np
import pytest
from PIL import Image

from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.pipeline.config import load_config
from restem.pipeline.datasets.contact_sheet import CAPTION, MARGIN, draw, to_8_bits, write_contact_sheet
from restem.pipeline.datasets.inspection import inspect


def test_the_picture_shows_the_models_own_pixels(write, images, tmp_path):
    """Grey images of 20 x 30 at their original size: the picture contains the same pixels, enlarged."""
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


def test_16_bit_pixels_are_shown_by_their_upper_8_bits():
    pixels = np.array([[[0], [256], [65535]]], np.uint16)
    assert to_8_bits(pixels).ravel().tolist() == [0, 1, 255]
    assert to_8_bits(pixels).dtype == np.uint8


def test_every_band_has_a_row_below_the_colours():
    image = ImageConfig(size=64, bands=("nir", "red", "green", "blue"))
    pixels = np.zeros((64, 64, 4), np.uint8) + np.array([10, 200, 100, 50], np.uint8)
    sheet = np.asarray(draw({"a": [pixels], "b": [pixels]}, image))
    row = 64 + CAPTION + MARGIN
    middles = [CAPTION + place * row + CAPTION + 32 for place in range(4)]
    assert [sheet[middle, MARGIN + 32].tolist() for middle in middles] == [[200, 100, 50], [10, 10, 10]] * 2


def test_large_images_are_shrunk_and_class_names_may_be_unicode():
    rows = {"ä 犬": [np.zeros((900, 300, 3), np.uint8)] * 5, "b": [np.zeros((900, 300, 3), np.uint8)]}
    sheet = draw(rows, ImageConfig(size=(900, 300)))
    assert sheet.width < 500
    assert sheet.height < 600


def test_a_missing_image_and_an_unwritable_file_are_errors(write, images, tmp_path):
    config = load_config(write())
    with pytest.raises(RestemError, match="no readable training image"):
        write_contact_sheet(tmp_path / "sheet.png", (), config.image)
    (tmp_path / "file").touch()
    with pytest.raises(RestemError, match="cannot be written"):
        write_contact_sheet(tmp_path / "file" / "x.png", inspect(config, samples=1).samples, config.image)
