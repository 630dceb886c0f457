"""The checksums of the results of a run's steps, with real damage."""

import gzip
import os
import shutil
import zlib
from pathlib import Path

import pytest

from restem.errors import RestemError
from restem.pipeline.local.results import Results, damage, forget_removed, place, record, unreadable
from tests.damage import flip

WEIGHTS = "Format-Serving/variables/variables.data-00000-of-00001"
EXAMPLES = "Split-train/data-00000-of-00001.gz"


def write(root: Path, step: str, output: str, name: str, content: bytes) -> str:
    """A result of a step, as TFX places it."""
    folder = root / "pipeline" / step / output / "3"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return str(folder)


@pytest.fixture
def model(tmp_path) -> str:
    return write(tmp_path, "Trainer", "model", WEIGHTS, bytes(range(256)) * 20)


@pytest.fixture
def examples(tmp_path) -> str:
    return write(tmp_path, "Transform", "transformed_examples", EXAMPLES, gzip.compress(os.urandom(5000), 1))


@pytest.mark.parametrize("result", ["model", "examples", "schema"])
def test_a_changed_byte_stops_the_run_with_the_file_and_its_step(result, model, examples, tmp_path):
    schema = write(tmp_path, "ImageExampleGen", "schema", "schema.pbtxt", b'feature { name: "image_bytes" }')
    uri, name, step = {
        "model": (model, WEIGHTS, "Trainer"),
        "examples": (examples, EXAMPLES, "Transform"),
        "schema": (schema, "schema.pbtxt", "ImageExampleGen"),
    }[result]
    Results().written(uri)
    flip(Path(uri, name))
    for read in (Results().usable, lambda uri: Results().check([uri])):
        with pytest.raises(RestemError) as caught:
            read(uri)
        assert str(caught.value).startswith(f"{uri}/{name}: this file is not as the step {step} wrote it. ")
        assert "--recompute runs this step" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


def test_with_recompute_a_damaged_result_is_not_taken_from_the_cache(model, caplog):
    Results().written(model)
    flip(Path(model, WEIGHTS))
    with caplog.at_level("WARNING", logger="restem"):
        assert not Results(recompute=True).usable(model)
    assert f"{WEIGHTS} is changed): the step Trainer runs again" in caplog.text
    Results().written(model)  # by the step that ran again
    assert Results().usable(model)


def test_missing_and_additional_files_are_damage_and_hidden_ones_are_not(model, examples):
    record(model), record(examples)
    Path(model, ".DS_Store").touch()
    assert not damage(model)
    Path(model, WEIGHTS).unlink()
    with pytest.raises(RestemError, match=f"{WEIGHTS}: this file is missing: it was there when the step Trainer ended"):
        Results().check([model])
    Path(examples, EXAMPLES).with_name("data-00001.gz").touch()
    with pytest.raises(RestemError, match=r"data-00001\.gz: this file was not there when the step Transform ended"):
        Results().check([examples])


def test_in_one_run_a_file_is_read_again_only_if_it_changes(model, monkeypatch):
    results = Results()
    results.written(model)
    with monkeypatch.context() as patch:
        patch.setattr("restem.pipeline.local.results.damage", lambda uri: pytest.fail("read again"))
        results.check([model])
    flip(Path(model, WEIGHTS))
    with pytest.raises(RestemError, match="is not as the step Trainer wrote it"):
        results.check([model])


def test_before_a_judgement_a_file_is_read_again_even_if_nothing_tells_that_it_changed(model):
    """A disk does not set a new time for a bit that it loses."""
    results = Results()
    results.written(model)
    weights = Path(model, WEIGHTS)
    before = weights.stat()
    flip(weights)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    results.check([model])
    with pytest.raises(RestemError, match="is not as the step Trainer wrote it"):
        results.check([model], again=True)


def test_a_result_of_an_older_version_is_recorded_and_elsewhere_nothing_is(model, tmp_path):
    assert damage(model) is None
    assert Results().usable(model)
    assert damage(model) is not None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert Results().usable(str(elsewhere))
    assert list(elsewhere.iterdir()) == []


def test_the_checksums_move_with_the_root_and_are_not_among_the_data(examples, tmp_path):
    record(examples)
    assert place(examples) == tmp_path / "checksums" / "Transform" / "transformed_examples" / "3.json"
    for folder in ("pipeline", "checksums"):
        shutil.copytree(tmp_path / folder, tmp_path / "moved" / folder)
    moved = examples.replace(str(tmp_path), str(tmp_path / "moved"))
    assert damage(moved) is not None
    flip(Path(moved, EXAMPLES))
    assert damage(moved).changed == (EXAMPLES,)


def test_the_checksums_of_a_removed_result_go_too(examples, model, tmp_path):
    record(examples), record(model)
    shutil.rmtree(model)
    forget_removed(str(tmp_path))
    assert place(examples).exists()
    assert not place(model).exists()


def fail(uri: str) -> Exception:
    """The error of a step that reads a damaged file, wrapped as Beam does."""
    try:
        with gzip.open(f"{uri}/{EXAMPLES}") as file:
            file.read()
    except (OSError, zlib.error) as error:
        return RuntimeError(f"{type(error).__module__}.{type(error).__name__}: {error} [while running 'Read']")
    raise AssertionError("it can be read")


def test_the_error_of_a_step_that_read_a_file_damaged_meanwhile_names_it(examples):
    results = Results()
    results.written(examples)
    flip(Path(examples, EXAMPLES))
    with pytest.raises(RestemError, match=f"{EXAMPLES}: this file is not as the step Transform wrote it"):
        results.explain(fail(examples), [examples])


def test_examples_that_were_damaged_before_their_checksum_are_found_by_reading_them(examples, model):
    """A root of an older version: the checksum is that of the damaged file."""
    flip(Path(examples, EXAMPLES))
    assert Results().usable(examples)
    assert unreadable(examples) == EXAMPLES
    results = Results()
    results.explain(ValueError("too few classes"), [model, examples])
    with pytest.raises(RestemError, match=f"{EXAMPLES}: this file is not as the step Transform wrote it"):
        results.explain(fail(examples), [model, examples])
    assert not Results(recompute=True).usable(examples)
