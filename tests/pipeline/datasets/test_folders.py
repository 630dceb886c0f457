"""Folders as people have them, from `restem init` to `restem inspect`."""

import numpy as np
import pytest
import yaml
from PIL import Image

from restem.errors import RestemError
from restem.pipeline.config import load_config
from restem.pipeline.datasets.inspection import inspect
from restem.pipeline.datasets.near_sheet import write_near_sheet
from restem.pipeline.datasets.proposal import propose


def photograph(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC)


def fill(folder, *names: str, image=photograph) -> None:
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image(hash((len(names), seed)) % 2**31).save(path)


def proposed(folder, tmp_path, **given):
    out = tmp_path / "out.yaml"
    out.write_text(propose(folder, out, given=given), encoding="utf-8")
    return load_config(out), out.read_text(encoding="utf-8")


def test_control_characters_reach_neither_the_proposal_nor_the_console(tmp_path):
    folder = tmp_path / "ima\x1b[31mges"
    classes = ("ca\x1b[2Jt", "do\ng", "\u202efox", "x\x9by")
    fill(folder, *(f"{name}/{i}\x07.png" for name in classes for i in range(6)))
    config, text = proposed(folder, tmp_path)
    assert all(character.isprintable() for character in text.replace("\n", ""))
    assert set(config.data.classes) == {r"ca\x1b[2Jt", r"do\ng", r"\u202efox", r"x\x9by"}
    found = inspect(config)
    assert (found.problem, found.quarantined, sum(found.counts["train"].values())) == (None, (), 20)
    assert config.data.path == str(folder)


def test_photographs_and_masks_side_by_side(tmp_path):
    folder = tmp_path / "images"
    names = [f"{'ab'[i % 2]}/{i}" for i in range(40)]
    fill(folder, *(f"{name}.jpg" for name in names))

    def mask(seed: int) -> Image.Image:
        pixels = np.zeros((32, 32), np.uint8)
        pixels[seed % 20 :, : 5 + seed % 13] = 255
        return Image.fromarray(pixels)

    fill(folder, *(f"{name}.png" for name in names), image=mask)
    config, text = proposed(folder, tmp_path)
    assert config.data.exclude == ("*.png",)
    assert "masks? Remove this line if they are images" in text
    found = inspect(config)
    assert sum(sum(counts.values()) for counts in found.counts.values()) == 40
    assert any("40 files are left out by data.exclude" in note for note in found.notes)
    # Without the pattern, the masks are asked about.
    everything = config.model_copy(update={"data": config.data.model_copy(update={"exclude": ()})})
    assert any("Are these masks, not images?" in note for note in inspect(everything).notes)


def test_recurring_numbers_become_groups_that_stay_together(tmp_path):
    folder = tmp_path / "images"
    fill(folder, *(f"{'ab'[i % 2]}/person{i}_{j}.png" for i in range(24) for j in range(3)))
    config, text = proposed(folder, tmp_path)
    assert config.data.group is not None
    assert "24 numbers in 72 names, up to 3 images each" in text
    assert config.data.split == "stratified"
    assert not any("numbers in the names" in note for note in inspect(config).notes)
    without = config.model_copy(update={"data": config.data.model_copy(update={"group": None})})
    assert any("of 24 numbers in the names" in note for note in inspect(without).notes)


def test_a_class_without_test_images_is_named(tmp_path):
    folder = tmp_path / "images"
    fill(folder, *(f"{split}/{name}/{i}.png" for split in ("train", "test") for name in "ab" for i in range(5)))
    fill(folder, *(f"train/rare/{i}.png" for i in range(5)))
    config, text = proposed(folder, tmp_path)
    told = "1 class has no test images, so nothing is known about answers for them: rare"
    assert f"# Please check: {told}." in text
    assert told in inspect(config).notes
    assert yaml.safe_load(text)["data"]["classes"] == ["a", "b", "rare"]


def test_two_readings_are_answered_by_a_key(tmp_path):
    folder = tmp_path / "images"
    fill(
        folder, *(f"{site}/{name}/{i}.png" for site in ("north", "south") for name in ("cat", "dog") for i in range(5))
    )
    with pytest.raises(RestemError, match=r"(?s)any/class.*: class "):
        proposed(folder, tmp_path)
    config, _ = proposed(folder, tmp_path, folders="any/class")
    assert (config.data.folders, config.data.classes) == ("any/class", ("cat", "dog"))
    assert inspect(config).problem is None


def test_a_folder_of_other_files_is_questioned(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(8):
            (tmp_path / "images" / name / f"{index}.txt").write_text("text")
    fill(tmp_path / "images", "a/1.png", "b/2.png")
    with pytest.raises(RestemError, match=r"most files are not readable images.*16 of 18 sampled files"):
        propose(tmp_path / "images", None)


def test_near_duplicates_are_shown_and_may_stop_the_run(tmp_path):
    folder = tmp_path / "images"
    fill(folder, *(f"{split}/{name}/{i}.png" for split in ("train", "test") for name in "ab" for i in range(5)))
    photograph(7).resize((96, 96), Image.Resampling.BICUBIC).save(folder / "train" / "a" / "large.png")
    photograph(7).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "test" / "a" / "copy.jpg", quality=80)
    config, _ = proposed(folder, tmp_path)
    found = inspect(config)
    (pair,) = found.near.pairs
    assert (pair.first.path, pair.second.path, pair.mirrored) == ("test/a/copy.jpg", "train/a/large.png", True)
    assert found.problem is None
    assert found.to_dict()["near_duplicates"][0]["paths"] == ["test/a/copy.jpg", "train/a/large.png"]
    assert write_near_sheet(tmp_path / "near.png", found.near)
    assert Image.open(tmp_path / "near.png").height > 100
    strict = config.model_copy(update={"data": config.data.model_copy(update={"allow_near_duplicates": False})})
    assert "allow_near_duplicates: true" in (inspect(strict).problem or "")
