"""Checkpoint files of different make: each is read exactly, or refused with a sentence that names the cause."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from restem.pipeline.commands.checkpoint import checkpoint
from restem.stem import StemError
from restem.stem.checkpoint import layout
from restem.stem.checkpoint.examine import examine
from restem.stem.checkpoint.hdf5 import opened, read_tensor
from restem.stem.checkpoint.summary import to_dict
from restem.stem.contents import check_contents

from . import checkpoint_cases as cases

TABLE = Path(layout.__file__).parents[1] / "CHECKPOINTS.md"
HEADER = """# Checkpoint files, and what becomes of them

Written by `tests/stem/test_checkpoint.py`, which makes each of these files and compares every tensor. The formats are
those of Keras 3.15 and tf_keras 2.21 as they write them, and of Keras 2.13, 3.0 and 3.6 as their sources say. After a
change, write this table with `RESTEM_WRITE_TABLE=1 .venv/bin/python -m pytest tests/stem/test_checkpoint.py`.

PyTorch's files and KerasHub's are not in this list: `tests/torch` compares the first with PyTorch itself, and
`tests/stem/test_hub.py` has the others.

*Read* means: every tensor of the ResNet is bit-identical, and the settings of its layers are the file's.
"""


def small(patch):
    patch.setattr(layout, "WIDTH", cases.WIDTH)
    for name, blocks in cases.BLOCKS.items():
        patch.setitem(layout.BLOCKS, name, blocks)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    small(monkeypatch)
    monkeypatch.setitem(sys.modules, "torch", None)  # as in an environment without PyTorch


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
        notes += [f"assumed, and said: {one.assumed}"] if one.assumed else []
        return "read" + (f"; {', '.join(notes)}" if notes else "")
    finally:
        assert sorted(os.listdir(folder)) == before
        assert not (folder.parent / "hacked").exists()


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


@pytest.mark.parametrize("v2", [False, True])
def test_the_layout_is_that_of_keras(v2, monkeypatch):
    from .networks import network

    name = "ResNet50V2" if v2 else "ResNet50"
    monkeypatch.setitem(layout.BLOCKS, name, (3, 2, 2))
    theirs = network(v2, (3, 2, 2), width=cases.WIDTH, channels=5)
    ours = layout.layout_of(name, 5)
    entries = [entry for entry in theirs.get_config()["layers"] if entry["class_name"] != "InputLayer"][:-1]
    pools = iter([part.name for part in ours.parts if part.name.endswith("_pool")])
    names = {e["name"]: next(pools) if e["class_name"] == "MaxPooling2D" else e["name"] for e in entries}
    names["input"] = theirs.layers[0].name
    assert [part.name for part in ours.parts] == [names[entry["name"]] for entry in entries]
    for part, entry in zip(ours.parts, entries, strict=True):
        assert part.kind == entry["class_name"]
        assert {names.get(one, one) for one in part.inputs} == set(_reads(entry["inbound_nodes"], names))
        for key, value in part.settings.items():
            given = entry["config"][key]
            assert (json.loads(json.dumps(given)) if key != "axis" else given % 4) == value, (part.name, key)
        weights = theirs.get_layer(entry["name"]).weights
        assert {weight.name: tuple(weight.shape) for weight in weights} == part.shapes()
    assert ours.features == theirs.output_shape[-1]


def _reads(nodes, names):
    found = re.findall(r"keras_history': \('([^']+)'|keras_history': \['([^']+)'", str(nodes))
    return [names.get(one, one) for pair in found for one in pair if one]


def test_the_real_depths():
    """With the real widths, which the small networks replace."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "WIDTH", 64)
        real = {"ResNet50": ((3, 4, 6, 3), 23_587_712), "ResNet152V2": ((3, 8, 36, 3), 58_331_648)}
        for name, (blocks, values) in real.items():
            patch.setitem(layout.BLOCKS, name, blocks)
            parts = layout.layout_of(name).parts
            assert sum(int(np.prod(shape)) for part in parts for shape in part.shapes().values()) == values


def run(*args):
    return CliRunner().invoke(checkpoint, args, catch_exceptions=False, standalone_mode=False)


def test_the_command(tmp_path):
    path, _ = next(one for one in CASES if "Rescaling(1/127.5" in one.told).write(tmp_path)
    text = run(str(path)).stdout
    for words in ("Keras 3.15.0", "ResNet50, 3 channels", "3 classes", "Rescaling 'r'", "behind the ResNet: Global"):
        assert words in text
    told = json.loads(run(str(path), "--json").stdout)
    assert told["architecture"] == "ResNet50"
    assert told["classes"] == 3
    assert told["preprocessing"]["must_be_said"] is False
    path, _ = next(one for one in CASES if one.told.startswith("12 channels")).write(tmp_path)
    assert "must be said" in run(str(path)).stdout
    assert "model.source" in run(str(path)).stdout
    path, _ = next(one for one in CASES if one.told.startswith("strides in the 3x3")).write(tmp_path)
    assert "the form v1.5" in run(str(path)).stdout
    with pytest.raises(StemError, match="not found"):
        run(str(tmp_path / "missing.h5"))
