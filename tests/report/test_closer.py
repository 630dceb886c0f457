"""The closer look at the candidate's test images, from the run's files to the page."""

import dataclasses

import numpy as np
import pytest

from restem.closer_record import Explained, Neighbours, Saliency, write_neighbours, write_saliency
from restem.images.small import encode_small
from restem.report.closer import SHOWN, Closer
from restem.report.page import render
from tests.report.test_component import read, write_examples
from tests.report.test_page import HOSTILE, Page

IMAGES = 40


def write_closer(folder, sample, **changes):
    """The files that the Trainer writes: image i is at the distance i / n, and its pixels differ by i / 200."""
    (folder / "pictures").mkdir(exist_ok=True)
    for name in ("train-00.png", "seen-00.png", "heat-00.png"):
        (folder / "pictures" / name).write_bytes(encode_small(np.full((96, 96, 3), 90, np.uint8))[0])
    count = len(sample.paths)
    difference = np.full(count, np.nan)
    difference[: count // 2] = np.arange(count // 2) / 200
    found = Neighbours(
        paths=sample.paths,
        distance=np.arange(count) / count,
        nearest=tuple(f"train/{HOSTILE}/{i}.png" for i in range(count)),
        difference=difference,
        pictures={f"train/{HOSTILE}/0.png": "train-00.png", f"train/{HOSTILE}/1.png": "../../secret.png"},
        compared=2000,
        train_images=9000,
        test_images=count,
    )
    write_neighbours(folder, dataclasses.replace(found, **changes))
    one = Explained(sample.paths[0], HOSTILE, "normal", 0.75, "red, green, blue", "seen-00.png", "heat-00.png")
    lost = dataclasses.replace(one, heat="heat-99.png")
    write_saliency(folder, Saliency((one, lost), (one,), "conv5_block3_out", 7, 7))


@pytest.fixture(scope="module")
def run(tmp_path_factory, folders, sample):
    """A run's folders and their sample."""
    root = tmp_path_factory.mktemp("closer")
    made = sample(classes=("normal", "pneumonia"), images=IMAGES, accuracy=(0.9, 0.8))
    written = folders(root, made)
    write_examples(root / "examples", made)
    return {**written, "examples": root / "examples"}, made


def test_the_page_shows_what_the_trainer_found(run):
    folders, made = run
    write_closer(folders["candidate_run"], made)
    data = read(folders)
    similarity, attention = data.closer.similarity, data.closer.attention
    assert [pair.path for pair in similarity.unusual] == list(made.paths[: -SHOWN - 1 : -1])
    assert [pair.path for pair in similarity.alike] == list(made.paths[:SHOWN])
    assert all(pair.thumbnail for pair in (*similarity.unusual, *similarity.alike))
    assert similarity.alike[0].picture.startswith("data:image/png")
    assert similarity.alike[1].picture is None  # no file of another folder is read
    assert (similarity.same, similarity.measured) == (2, IMAGES // 2)
    assert len(attention.mistakes) == 1  # the other has lost its picture
    html = render(data)
    page = Page(html)
    assert HOSTILE not in html
    assert f"{IMAGES} images for testing were compared with 2,000 of 9,000 images for training." in page.text
    assert "its median is 0.48" in page.text
    assert "Of the 20 pairs with the smallest distance, 2 differ by less than 1%" in page.text
    assert "1 of 2 classes" in page.text
    assert "a map: 7 × 7, smoothed" in page.text
    assert 'href="#attention"' in html
    assert 'href="#similarity"' in html


def test_the_reasons_are_shown(run):
    folders, made = run
    write_closer(folders["candidate_run"], made, skipped="there are too few images")
    write_saliency(folders["candidate_run"], Saliency(skipped="the last feature maps have a single position"))
    text = Page(render(read(folders))).text
    assert "They were not compared: there are too few images." in text
    assert "There are no saliency pictures: the last feature maps have a single position." in text


def test_a_damaged_file_does_not_stop_the_page(run, caplog):
    folders, made = run
    write_closer(folders["candidate_run"], made)
    (folders["candidate_run"] / "features.npz").write_bytes(b"PK")
    (folders["candidate_run"] / "saliency.json").write_text("{}}")
    data = read(folders)
    assert data.closer == Closer()
    assert "features.npz is damaged" in caplog.text
    assert "attention" not in render(data)
