"""Predictions of folders and of many files, with a tiny model."""

import csv
import functools
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from restem.errors import RestemError
from restem.images.container import pack
from restem.pipeline.commands.predict import list_files
from restem.pipeline.commands.progress_text import progress_text
from restem.pipeline.local import prediction
from restem.pipeline.local.prediction import predict, why_unreadable
from tests.images.formats.dicom_files import dicom
from tests.tiny_model import CLASSES, export_tiny, png


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export_tiny(tmp_path_factory.mktemp("models") / "1700000000")


@pytest.fixture
def folder(tmp_path):
    """40 images in two folders; every tenth file is none, and one is hidden."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for i in range(40):
        data = png(i * 6) if i % 10 else b"words" if i % 20 else png(0)[:60]
        (folder / ("more" if i % 2 else "") / f"{i:02}.png").write_bytes(data)
    np.save(folder / "array.npy", np.full((8, 8, 1), 200, np.uint8))
    (folder / ".hidden").write_text("x")
    return folder


@pytest.fixture
def loaded_once(model, monkeypatch):
    """Loading takes most of a second, and its own tests do it."""
    monkeypatch.setattr(prediction, "Classifier", lambda *_: _loaded(model))


@functools.cache
def _loaded(model):
    return CLASSIFIER(str(model), CLASSES, 2**20)


CLASSIFIER = prediction.Classifier


def call(model, files, out=None, *, emit=lambda event: None, fingerprint="1"):
    request = {"model": str(model), "images": files, "classes": CLASSES, "max_bytes": 2**20}
    return predict({**request, "out": out and str(out), "fingerprint": fingerprint}, emit)


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_a_table_with_the_unreadable_files_and_why(loaded_once, model, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "PROGRESS_SECONDS", 0.0)
    files = list_files([str(folder)])
    assert len(files) == 41
    assert files == sorted(files)
    events = []
    assert call(model, files, tmp_path / "out.csv", emit=events.append) == {"images": 41, "failed": 4, "kept": 0}
    rows = rows_of(tmp_path / "out.csv")
    assert [row["path"] for row in rows] == files
    for row in rows:
        number = row["path"].rpartition("/")[2].partition(".")[0]
        level = 200 if number == "array" else int(number) * 6
        if number != "array" and level % 60 == 0:
            assert row["error"].endswith(".")
            assert row["label"] == row["p: dark"] == ""
        else:
            assert (row["label"], row["error"]) == (CLASSES[level > 128], "")
            assert float(row["probability"]) == max(float(row["p: dark"]), float(row["p: light"])) > 0.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "out.csv"]
    assert [event["done"] for event in events] == list(range(1, 42))


def test_an_interrupted_table_is_gone_on_with(loaded_once, model, folder, tmp_path, monkeypatch):
    files = list_files([str(folder)])
    whole = call(model, files)
    monkeypatch.setattr(prediction, "BATCH", 8)
    done = 0

    def interrupt(event):
        nonlocal done
        done = event["done"]
        if done == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(prediction, "PROGRESS_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        call(model, files, tmp_path / "out.csv", emit=interrupt)
    part = tmp_path / "out.csv.part"
    assert not (tmp_path / "out.csv").exists()
    part.write_bytes(part.read_bytes()[:-5])  # killed while it wrote
    with pytest.raises(RestemError, match="unfinished table of another model"):
        call(model, files, tmp_path / "out.csv", fingerprint="2")
    readable = sum("error" not in answer for answer in whole[: done - 1])
    assert call(model, files, tmp_path / "out.csv") == {"images": 41, "failed": 4, "kept": readable}
    found = {row["path"]: row["label"] for row in rows_of(tmp_path / "out.csv")}
    assert found == {answer["path"]: answer.get("label", "") for answer in whole}


def test_a_pipe_and_a_file_beyond_the_limit_are_not_read(loaded_once, model, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (answer,) = call(model, [str(tmp_path / "pipe.png")])
    assert answer["error"] == "It is neither a file nor a folder."
    (tmp_path / "large.png").write_bytes(png(1) + b"0" * 2**20)
    (answer,) = call(model, [str(tmp_path / "large.png")])
    assert "the limit is data.max_bytes (1,048,576)" in answer["error"]


@pytest.mark.parametrize("damage", ["graph", "variables", "classes", "nothing"])
def test_a_folder_that_is_no_such_model_is_one_sentence(model, tmp_path, damage):
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    classes = CLASSES
    if damage == "graph":
        (folder / "saved_model.pb").write_bytes(b"words")
    elif damage == "variables":
        next(folder.glob("variables/*.index")).write_bytes(b"words")
    elif damage == "nothing":
        shutil.rmtree(folder)
    else:
        classes = ["a", "b", "c"]
    with pytest.raises(RestemError, match=r"cannot be loaded|3 classes") as caught:
        prediction.Classifier(str(folder), classes, 2**20)
    assert len(str(caught.value).splitlines()) == 1


def test_files_and_folders_are_listed_once(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert list_files([str(tmp_path), str(tmp_path / "a" / "1.png")]) == [str(tmp_path / "a" / "1.png")]
    assert "link is a link to a folder; left out" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    with pytest.raises(RestemError, match="no files in this folder"):
        list_files([str(tmp_path / "none")])
    with pytest.raises(RestemError, match="no such image file or folder"):
        list_files(["gs://bucket/x.png"])


def test_progress_says_speed_and_time_left():
    event = {"event": "progress", "done": 1200, "total": 5000, "failed": 3, "kept": 200, "seconds": 10.0}
    assert progress_text(event) == "1,200 of 5,000 images, 3 unreadable, 100 images/s, about 38 s left"
    event |= {"done": 201, "failed": 0, "total": 50_000}
    assert progress_text(event) == "201 of 50,000 images, 0.1 images/s, about 138.3 h left"


def test_why_a_model_could_not_read_a_file(tmp_path):
    path = tmp_path / "x.png"
    path.write_text("words")
    assert "text, not an image" in why_unreadable(str(path), ValueError())
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50)).astype(np.uint8)).save(path)
    error = (
        "Graph execution error:\n\nassertion failed: [the configuration names 2 bands: ] [1]\n\t [[{{node Assert}}]]"
    )
    assert "names 2 bands" in why_unreadable(str(path), ValueError(error))
    path.write_bytes(path.read_bytes()[:500])
    assert "incomplete" in why_unreadable(str(path), ValueError("Graph execution error"))
    assert "cannot be read" in why_unreadable(str(tmp_path / "gone.png"), ValueError())


def test_dicom_files_are_read_as_the_models_configuration_says(model, tmp_path):
    files = []
    for kind in ("MONOCHROME1", "MONOCHROME2"):
        for level in (40, 200):
            path = tmp_path / f"{kind}-{level}.dcm"
            path.write_bytes(dicom(np.full((8, 8), level, np.uint8), kind=kind))
            files.append(str(path))
    assert all("set image.dicom" in answer["error"] for answer in call(model, files))
    own = tmp_path / "models" / "1700000001"
    shutil.copytree(model, own)
    record = json.loads((own / "assets.extra" / "model.json").read_text())
    # This window's share of the value x is x / 255.
    record["config"]["image"] = {"size": 8, "channels": 1, "dicom": {"window": [128, 256]}}
    (own / "assets.extra" / "model.json").write_text(json.dumps(record))
    assert [answer["label"] for answer in call(own, files)] == ["light", "dark", "dark", "light"]


def test_pixels_without_data_are_found_as_the_models_configuration_says(model, tmp_path):
    pixels = np.full((8, 8), 0.9, np.float32)
    np.save(tmp_path / "whole.npy", pixels)
    pixels[:4] = np.nan
    np.save(tmp_path / "half.npy", pixels)
    files = [str(tmp_path / "whole.npy"), str(tmp_path / "half.npy")]
    assert "set image.nodata: nan" in call(model, files)[1]["error"]
    keys = {"nodata": "nan", "value_range": (0, 1)}
    own = export_tiny(tmp_path / "models" / "1700000001", **keys)
    # The record of the tiny model does not have the section.
    record = json.loads((own / "assets.extra" / "model.json").read_text())
    record["config"]["image"] = {"size": 8, "channels": 1, **keys}
    (own / "assets.extra" / "model.json").write_text(json.dumps(record))
    # Half of the pixels is black: the mean is 115, below the threshold of 128.
    assert [answer["label"] for answer in call(own, files)] == ["light", "dark"]
    sent = pack(pixels[..., None])
    served = tf.saved_model.load(str(own)).signatures
    assert served["serving_lenient"](image_bytes=tf.constant([sent]))["error"].numpy().tolist() == [b""]
    # Without image.nodata, only the evaluation of a later run gets an answer.
    unaware = tf.saved_model.load(str(export_tiny(tmp_path / "unaware", value_range=(0, 1)))).signatures
    with pytest.raises(tf.errors.InvalidArgumentError, match="not finite"):
        unaware["serving_default"](image_bytes=tf.constant([sent]))
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[sent]))
    example = tf.train.Example(features=tf.train.Features(feature={"image_bytes": feature})).SerializeToString()
    assert unaware["serve_examples"](examples=tf.constant([example]))["label"].numpy().tolist() == [b"dark"]
