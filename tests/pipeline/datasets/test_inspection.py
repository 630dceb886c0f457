import numpy as np
import pytest
from PIL import Image

from restem.errors import RestemError
from restem.pipeline.config import load_config
from restem.pipeline.datasets.inspection import inspect


def look(write, *overrides):
    return inspect(load_config(write(), list(overrides)))


def test_counts_by_split_and_class(write, images):
    found = look(write).to_dict()
    assert found["classes"] == ["cat", "dog"]
    assert {name: sum(found["by_class"][split][name] for split in found["splits"]) for name in ("cat", "dog")} == {
        "cat": 30,
        "dog": 10,
    }
    assert found["quarantined"] == []
    assert found["formats"] == {"PNG": 40}
    assert found["channels"] == {"1": 40}


def test_rejected_files_have_their_reasons(write, images):
    (images / "cat" / "empty.png").write_bytes(b"")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(images / "cat" / "x.jp2")
    (images / "stray.txt").write_text("x")
    reasons = {one.path: one.reason for one in look(write, "data.max_quarantined=0.5").quarantined}
    assert list(reasons) == ["cat/empty.png", "cat/x.jp2", "stray.txt"]
    assert "0 bytes" in reasons["cat/empty.png"]
    assert "JPEG2000" in reasons["cat/x.jp2"]
    assert "outside the class folders" in reasons["stray.txt"]


def test_limits_and_bands_reject_files(write, images):
    Image.fromarray(np.zeros((60, 60), np.uint8)).save(images / "cat" / "large.png")
    (refused,) = look(write, "data.max_pixels=1000").quarantined
    assert "max_pixels" in refused.reason
    found = look(write, "image.bands=[a, b]")
    assert len(found.quarantined) == 41
    assert "image.bands names 2" in found.quarantined[0].reason


def test_reports_that_the_run_would_stop(write, images):
    for i in range(4):
        (images / "dog" / f"bad{i}.png").write_text("x")
    assert look(write).problem.startswith("4 of 44 files")
    for path in (images / "dog").iterdir():
        path.write_text("x")
    assert "dog" in look(write, "data.max_quarantined=1").problem


def test_a_folder_that_cannot_be_trained_on_is_an_error(write):
    with pytest.raises(RestemError, match="no such folder"):
        look(write)


def test_identical_images_are_reported(write, images):
    original = (images / "cat" / "0.png").read_bytes()
    for i in range(6):
        (images / "dog" / f"copy{i}.png").write_bytes(original)
    found = look(write)
    assert found.duplicates.counts() == {"groups": 1, "leaks": 1, "conflicts": 1}
    assert "1 image is in more than one split" in found.problem
    assert found.to_dict()["leaks"][0][0] == "cat/0.png"
    assert look(write, "data.allow_leaks=true").problem is None


def test_manifests_and_spans(write, images, tmp_path):
    lines = [f"images/{path.parent.name}/{path.name},{path.parent.name}" for path in images.rglob("*.png")]
    (tmp_path / "day-7.csv").write_text("path,label\n" + "\n".join([*lines, "images/gone.png,cat"]) + "\n")
    found = look(write, "data.path=" + str(tmp_path / "day-{SPAN}.csv")).to_dict()
    assert (found["spans"], sum(found["splits"].values())) == ([7], 40)
    assert [(entry["path"], entry["bytes"]) for entry in found["quarantined"]] == [("images/gone.png", -1)]


def test_two_hundred_classes(write, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (200, 4, 8, 8)).astype(np.uint8)
    for label in range(200):
        for i in range(4):
            path = tmp_path / "images" / f"Klasse {label} ä" / ("test" if i == 3 else "") / f"{i} 犬.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[label, i]).save(path)
    keys = ("data.split=stratified", "image.max_upsampling=null")
    with pytest.raises(RestemError, match=r"(?s)folders for splits inside .*data\.folders: class"):
        look(write, *keys)
    found = look(write, *keys, "data.folders=class")
    assert (len(found.classes), found.problem) == (200, None)
    assert {split: sum(counts.values()) for split, counts in found.counts.items()} == {"train": 600, "test": 200}
