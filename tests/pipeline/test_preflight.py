import zipfile

import pytest

from components.errors import RestemError
from pipeline.config import load_config
from pipeline.preflight import preflight


def check(write, *overrides):
    preflight(load_config(write(), ["model.weights=none", *overrides]))


def test_a_good_folder_passes(write, images):
    check(write)


def test_embedded_images_need_no_folder(write):
    check(write, "data.path=embedded:digits")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.path=nowhere"], r"data\.path .*no such folder"),
        (["data.path=embedded:letters"], r"data\.path: .*Expected embedded:digits"),
        (["model.weights=missing.h5"], r"model\.weights .*no such checkpoint"),
        (["model.weights=images"], r"model\.weights .*[Gg]iven a folder"),
        (["model.weights=pretrain", "pretrain.path=nowhere"], "no such folder"),
        (["push.destination=own.yaml"], r"push\.destination .* is a file"),
    ],
)
def test_what_the_configuration_points_at_is_missing(write, images, tmp_path, monkeypatch, overrides, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RestemError, match=message):
        check(write, *overrides)


def test_source_images_are_only_looked_for_where_they_are_used(write, images):
    check(write, "pretrain.path=nowhere")
    with pytest.raises(RestemError, match="no such folder"):
        preflight(load_config(write(), ["model.weights=none", "pretrain.path=nowhere"]), pretrain=True)


def test_an_empty_class_folder_is_refused(write, images):
    (images / "horse").mkdir()
    with pytest.raises(RestemError, match="horse"):
        check(write)


def test_checkpoints_are_known_by_their_first_bytes(write, images, tmp_path):
    good = tmp_path / "good.weights.h5"
    good.write_bytes(b"\x89HDF\r\n\x1a\nrest")
    check(write, f"model.weights={good}")
    with zipfile.ZipFile(tmp_path / "good.keras", "w") as archive:
        archive.writestr("x", "y")
    check(write, f"model.weights={tmp_path / 'good.keras'}")
    for name, content in (("page.h5", b"<html>"), ("empty.weights.h5", b""), ("hdf.keras", b"\x89HDF\r\n\x1a\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RestemError, match="no checkpoint"):
            check(write, f"model.weights={tmp_path / name}")
    (tmp_path / "weights.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(RestemError, match="not that of a checkpoint"):
        check(write, f"model.weights={tmp_path / 'weights.pt'}")
