"""What is proposed where ImageNet's weights cannot be had."""

import pytest

from restem.pipeline.config import load_config
from restem.pipeline.datasets.inspection import inspect
from restem.pipeline.datasets.offline import MOST_MINUTES, plan
from restem.pipeline.datasets.proposal import propose
from tests.pipeline.datasets.test_proposal import make


def machine(per_pixel, fixed=1e-3):
    """A machine on which an image takes a fixed time, and a time for each pixel."""
    return lambda sizes: [fixed + per_pixel * height * width for height, width in sizes]


@pytest.mark.parametrize(
    ("images", "per_pixel", "size"),
    [
        (1_000, 1e-8, (224, 224)),  # a GPU
        (1_000, 4e-6, (128, 128)),  # two cores
        (100_000, 4e-6, (32, 32)),  # more than they can do
    ],
)
def test_the_largest_size_that_ends_in_time(images, per_pixel, size):
    found = plan("no network", images, 4, 224, 224, machine(per_pixel))
    assert (found.height, found.width) == size
    assert found.full_minutes >= found.minutes
    assert (found.minutes <= MOST_MINUTES) == (images == 1_000)


def test_the_ratio_of_the_sides_is_kept():
    found = plan("no network", 1_000, 4, 112, 224, machine(4e-6))
    assert found.width == 2 * found.height


def test_the_file_says_what_was_measured_and_runs(tmp_path):
    folder = make(tmp_path / "images", [(200, 200)], count=20)
    out = tmp_path / "out.yaml"
    out.write_text(propose(folder, out, reason="no network", measure=machine(1e-4)), encoding="utf-8")
    text, config = out.read_text("utf-8"), load_config(out)
    assert (config.model.weights, config.image.height, config.stem.small_images) == ("pretrain", 96, False)
    assert config.pretrain.epochs == 40
    assert "cannot be downloaded (no network)" in text
    assert "all trainings take about 39 minutes on this machine" in text
    assert "at 200 pixels all trainings would take about" in text
    assert inspect(config).problem is None
