"""Checkpoint files of different make: each is read exactly, or refused with a sentence that names the cause."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from restem.pipeline.commands.checkpoint import checkpoint
from restem.stem import StemError
from restem.stem.checkpoint import layout
from restem.stem.checkpoint.examine import examine
from restem.stem.checkpoint.hdf5 import opened, read_tensor
from restem.stem.checkpoint.summary import to_dict, to_text
from restem.stem.contents import check_contents

from . import checkpoint_cases as cases

TABLE = Path(layout.__file__).parents[1] / "CHECKPOINTS.md"
HEADER = """# Checkpoint files, and what becomes of them

Written by `tests/stem/test_checkpoint.py`, which makes each of these files and compares every tensor. The formats are
those of Keras 3.15 and tf_keras 2.21 as they write them, and of Keras 2.13, 3.0 and 3.6 as their sources say. After a
change, write this table with `RESTEM_WRITE_TABLE=1 .venv/bin/python -m pytest tests/stem/test_checkpoint.py`.

*Read* means: every tensor of the ResNet is bit-identical, and the settings of its layers are the file's.
"""


def small(patch):
    patch.setattr(layout, "WIDTH", cases.WIDTH)
    for name, blocks in cases.BLOCKS.items():
        patch.setitem(layout.BLOCKS, name, blocks)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    small(monkeypatch)


with pytest.MonkeyPatch.context() as patch:
    small(patch)
    CASES = cases.make_cases()


def result(one, folder):
    """The table's last column, after all checks."""
    path, right = one.write(folder)
    before = sorted(os.listdir(folder))
    try:
        if one.words is not None:
            with pytest.raises(StemError, match=one.words) as caught:
                load(examine(path))
            told = " ".join(str(caught.value).split())
            assert "\n" not in str(caught.value)
            return f"refused: {told.replace(f'{folder}{os.sep}', '')}"
        found = check_contents(path, one.backbone)
        expected = right.layers
        tensors = load(found)
        for layer in expected:
            for role, value in layer.tensors.items():
                assert np.array_equal(tensors[layer.name][role], value), (layer.name, role)
            assert set(tensors.get(layer.name, {})) == set(layer.tensors)
        for name, changes in one.changes.items():
            assert found.changes[name] == changes
        assert found.classes == one.classes
        assert one.assumed in " ".join(found.assumed)
        told = to_dict(found)["preprocessing"]
        assert told["must_be_said"] == (one.front == "say")
        if one.front not in (None, "say"):
            assert np.allclose(found.front.scale, one.front[0])
            assert np.allclose(found.front.offset, one.front[1])
        else:
            assert found.front is None
        notes = ["preprocessing must be said"] if one.front == "say" else []
        notes += ["preprocessing from the file"] if found.front else []
        notes += [f"classifier of {found.classes} classes"] if found.classes else []
        notes += ["settings kept"] if one.changes else []
        notes += ["named in what is assumed"] if one.assumed else []
        return "read" + (f"; {', '.join(notes)}" if notes else "")
    finally:
        assert sorted(os.listdir(folder)) == before


def load(found):
    with opened(found.path, found.kind) as file:
        return {
            name: {role: read_tensor(file, tensor) for role, tensor in tensors.items()}
            for name, tensors in found.tensors.items()
        }


@pytest.mark.parametrize("group", dict.fromkeys(one.group for one in CASES))
def test_each_file_is_read_or_refused(group, tmp_path):
    lines = []
    for place, one in enumerate(one for one in CASES if one.group == group):
        folder = tmp_path / str(place)
        folder.mkdir()
        try:
            lines.append(f"| {one.told} | {result(one, folder)} |")
        except Exception as error:
            error.add_note(f"in the case {one.group}: {one.told}")
            raise
    text = f"## {group[0].upper()}{group[1:]}\n\n| file | result |\n|---|---|\n" + "\n".join(lines) + "\n"
    if os.environ.get("RESTEM_WRITE_TABLE"):
        write_section(text)
    assert text in TABLE.read_text(encoding="utf-8")


def write_section(text):
    first = text.startswith(f"## {CASES[0].group[0].upper()}{CASES[0].group[1:]}")
    before = HEADER if first else TABLE.read_text(encoding="utf-8")
    TABLE.write_text(f"{before}\n{text}", encoding="utf-8")


def test_the_table_has_no_other_lines():
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len(lines) == len(CASES) + len({one.group for one in CASES})
    assert len(CASES) >= 60
