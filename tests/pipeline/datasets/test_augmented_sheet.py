import numpy as np
import pytest
from PIL import Image

from restem.errors import RestemError
from restem.pipeline.config import load_config
from restem.pipeline.datasets.augmented_sheet import (
    NOTE,
    SMALLEST,
    augment,
    draw_versions,
    refuse_nothing_to_show,
    write_augmented_sheet,
)
from restem.pipeline.datasets.contact_sheet import CAPTION, MARGIN
from restem.pipeline.datasets.inspection import inspect
from restem.trainer.augment_config import AugmentConfig
from restem.trainer.augmented import Augmentation


def test_the_picture_shows_originals_and_the_versions_of_training(write, images, tmp_path):
    """Grey images of 28 x 28, enlarged four times; the same seed gives the same picture."""
    sets = ["image={size: 28, channels: 1}", "train.augment={translation: 0.2, mixup: 0.4, cutmix: 1.0}"]
    config = load_config(write(), sets)
    samples = inspect(config, samples=8).samples
    pictures = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train = config.train.model_copy(update={"seed": seed})
        write_augmented_sheet(tmp_path / f"{name}.png", samples, config.image, train)
        pictures.append(np.asarray(Image.open(tmp_path / f"{name}.png")))
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
    # The first row: the first cat; the second: the first dog.
    row = CAPTION + SMALLEST + NOTE + MARGIN
    tops = [2 * CAPTION + CAPTION + place * row for place in range(2)]
    cells = [pictures[0][top : top + SMALLEST, MARGIN : MARGIN + SMALLEST] for top in tops]
    for cell in cells:
        assert np.array_equal(cell, np.repeat(np.repeat(cell[::4, ::4], 4, axis=0), 4, axis=1))
    assert not np.array_equal(*cells)
    second = pictures[0][tops[0] : tops[0] + SMALLEST, 2 * MARGIN + SMALLEST : 2 * MARGIN + 2 * SMALLEST]
    assert np.ptp(second) > 0
    assert not np.array_equal(second, cells[0])


def test_the_versions_are_those_of_the_function_of_training(write):
    """Four bands of 16 bits: the same numbers, rounded, and how much of each image is in each version."""
    bands = "image={size: 12, bands: [red, green, blue, nir], bits: 16}"
    config = load_config(write(), [bands, "train.augment={noise: 0.02, cutmix: 1.0}"])
    pixels = np.random.default_rng(0).integers(0, 65536, (5, 12, 12, 4)).astype(np.uint16)
    versions, shares = augment(pixels, config.image, config.train)
    assert (versions.dtype, versions.shape, shares.shape) == (np.uint16, (6, 5, 12, 12, 4), (6, 5, 5))
    np.testing.assert_allclose(shares.sum(axis=2), 1, atol=1e-6)
    changed = Augmentation(config.train.augment, 65535.0, 5, config.train.seed)(pixels, np.arange(5))
    expected = np.clip(np.rint(changed.images), 0, 65535)
    np.testing.assert_array_equal(versions[0], expected)
    np.testing.assert_allclose(shares[0], changed.target)


def test_images_with_bands_are_shown_in_their_colours(write):
    config = load_config(write(), ["image={size: 112, bands: [nir, red, green, blue], bits: 16}"])
    pixels = np.zeros((112, 112, 4), np.uint16) + np.array([10, 200, 100, 50], np.uint16) * 256
    sheet = np.asarray(draw_versions([("a.tif (a)", [pixels] * 7, [""] * 7)], config.image, config.train))
    assert sheet[3 * CAPTION + 56, MARGIN + 56].tolist() == [200, 100, 50]


def test_nothing_to_show_is_refused(write, tmp_path):
    with pytest.raises(RestemError, match="no augmentation is on"):
        refuse_nothing_to_show(AugmentConfig())
    refuse_nothing_to_show(AugmentConfig(flip_vertical=True))
    config = load_config(write())
    with pytest.raises(RestemError, match="no readable training image"):
        write_augmented_sheet(tmp_path / "sheet.png", (), config.image, config.train)
