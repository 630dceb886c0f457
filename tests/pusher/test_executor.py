"""The step's driver and executor, with folders as TFX passes them."""

import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tfx.types import standard_artifacts
from tfx.types.channel_utils import as_channel

from restem.errors import RestemError
from restem.model_files import CARD, JUDGED, RELEASE, fingerprint
from restem.pusher import executor as module
from restem.pusher.artifacts import ReleaseNotes
from restem.pusher.component import Pusher
from restem.pusher.driver import NOT_PUSHED, Driver
from restem.pusher.executor import Executor, run_of
from restem.pusher.release import Release, read_release, withdrawn_models
from restem.pusher.rollback import rollback
from restem.pusher.versions import versions
from restem.run_record import EXTRA
from tests.tiny_model import artifact, export_tiny


@pytest.fixture
def step(tiny_model, tmp_path):
    """A step with an approved model."""

    def step(blessed: int = 1, storage_uri: str | None = None, **kept) -> SimpleNamespace:
        if not (tmp_path / "model").exists():
            shutil.copytree(tiny_model, tmp_path / "model" / "Format-Serving")
        pusher = Pusher(
            model=as_channel([standard_artifacts.Model()]),
            model_blessing=as_channel([standard_artifacts.ModelBlessing()]),
            release=as_channel([ReleaseNotes()]),
            destination=str(tmp_path / "serving"),
            name="digits",
            storage_uri=storage_uri,
            **kept,
        )
        assert pusher.id == "Pusher"
        blessing = artifact(standard_artifacts.ModelBlessing, tmp_path / "b", blessed=blessed)
        blessing.set_string_custom_property(JUDGED, fingerprint(str(tmp_path / "model" / "Format-Serving")))
        return SimpleNamespace(
            inputs={
                "model": [artifact(standard_artifacts.Model, tmp_path / "model")],
                "model_blessing": [blessing],
                "release": [artifact(ReleaseNotes, tmp_path / "release")],
            },
            properties={key: value for key, value in pusher.exec_properties.items() if value is not None},
            destination=str(tmp_path / "serving"),
            folder=tmp_path / "pushed",
        )

    return step


def drive(step):
    """The property that the driver adds."""
    info = SimpleNamespace(input_dict=step.inputs, exec_properties=step.properties)
    return {key: value.int_value for key, value in Driver(None).run(info).exec_properties.items()}


def push(step, **driven):
    """Runs the executor and returns the properties of its PushedModel."""
    pushed = artifact(standard_artifacts.PushedModel, step.folder)
    Executor().Do(step.inputs, {"pushed_model": [pushed]}, {**step.properties, **driven})
    return SimpleNamespace(
        pushed=pushed.get_int_custom_property("pushed"),
        destination=pushed.get_string_custom_property("pushed_destination"),
        version=pushed.get_string_custom_property("pushed_version"),
    )


def test_an_approved_model_becomes_the_drivers_version(step, tiny_model):
    step = step()
    before = int(time.time())
    driven = drive(step)
    assert before <= driven["version"] <= time.time()
    pushed_model = push(step, **driven)
    assert pushed_model == SimpleNamespace(
        pushed=1, destination=f"{step.destination}/{driven['version']}", version=str(driven["version"])
    )
    assert fingerprint(pushed_model.destination) == fingerprint(str(step.folder)) == fingerprint(str(tiny_model))


def test_without_a_driver_the_executor_pushes_too(step):
    step = step()
    pushed_model = push(step)
    assert pushed_model.destination == versions(step.destination)[0].path


def test_with_a_number_of_versions_old_ones_go_after_the_push(step, put, caplog):
    for number in (100, 200, 300, 400):
        put(number)
    (Path(step().destination) / "400" / "saved_model.pb").write_bytes(b"another")
    named = {"evaluate.baseline": f"{step().destination}/200/", "model.weights": "imagenet"}
    with caplog.at_level("INFO", logger="restem"):
        pushed_model = push(step(keep=2, named=named))
    assert [version.number for version in versions(step().destination)] == [int(pushed_model.version), 400, 200]
    assert "removed the versions 100, 300" in caplog.text


def test_a_model_that_was_not_approved_is_not_pushed(step):
    step = step(blessed=0, storage_uri="pvc://c/digits")
    driven = drive(step)
    assert driven == {"version": NOT_PUSHED}
    assert push(step, **driven) == SimpleNamespace(pushed=0, destination="", version="")
    assert versions(step.destination) == []


@pytest.mark.parametrize("judged", ["", None])
def test_files_that_are_not_those_that_were_judged_are_not_pushed(step, tmp_path, judged):
    """Weights that changed after the verdict; a verdict that does not name the files."""
    step = step()
    if judged is None:
        weights = tmp_path / "model" / "Format-Serving" / "variables" / "variables.data-00000-of-00001"
        weights.write_bytes(bytes(weights.stat().st_size))
    else:
        step.inputs["model_blessing"][0].set_string_custom_property(JUDGED, judged)
    with pytest.raises(RestemError, match=r"the model's files are not those that were approved.*run again"):
        push(step, **drive(step))
    assert versions(step.destination) == []


def test_pushing_the_newest_version_again_reports_it_and_pushes_nothing(step, monkeypatch, caplog):
    step = step()
    first = push(step)
    monkeypatch.setattr(module, "push", lambda *_, **__: pytest.fail("pushed again"))
    with caplog.at_level("INFO", logger="restem"):
        assert push(step) == first
    assert f"the newest version, {first.destination}, is already this model" in caplog.text


def test_an_unchanged_run_has_the_cache_key_of_the_push(step, monkeypatch):
    """So it is taken from the cache, unless a server would serve another model."""
    step = step()
    driven = drive(step)
    first = push(step, **driven)
    assert drive(step) == driven
    other = f"{step.destination}/{driven['version'] + 1}"
    export_tiny(Path(other), threshold=100.0)
    assert versions(step.destination)[0].path == other != first.destination
    assert drive(step)["version"] > driven["version"] + 1
    again = push(step, **drive(step))
    assert int(again.version) > driven["version"] + 1
    for version in versions(step.destination):
        shutil.rmtree(version.path)
    later = time.time() + 1  # Version numbers are seconds, and a run takes longer than one.
    monkeypatch.setattr("restem.pusher.driver.time", SimpleNamespace(time=lambda: later))
    assert drive(step) != driven


def test_the_manifest_is_written_if_there_is_a_storage_uri(step, caplog):
    pushed_model = push(step())
    assert [version.path for version in versions(step().destination)] == [pushed_model.destination]
    assert not (step().folder.parent / "serving" / "kserve").exists()
    with caplog.at_level("INFO"):
        assert push(step(storage_uri="pvc://c/digits")) == pushed_model
    text = (step().folder.parent / "serving" / "kserve" / "inference-service.yaml").read_text()
    assert "storageUri: pvc://c/digits" in text
    assert f"restem/version: '{pushed_model.version}'" in text
    assert "KServe manifest written to" in caplog.text


def test_a_missing_storage_uri_is_logged(step, caplog):
    with caplog.at_level("INFO"):
        push(step())
    assert "no KServe manifest: push.storage_uri does not say" in caplog.text


def test_the_version_has_the_records_of_its_approval(step, tmp_path):
    step = step()
    told = Release(pipeline="own", reason="Approved: it is better.", figures={"candidate": {"accuracy": 0.9}})
    (tmp_path / "release" / EXTRA).mkdir(parents=True)
    (tmp_path / "release" / RELEASE).write_bytes(told.to_bytes())
    (tmp_path / "release" / CARD).write_text("# own")
    pushed_model = push(step)
    written = read_release(f"{pushed_model.destination}/{EXTRA}")
    assert (written.reason, written.figures, written.origin) == (told.reason, told.figures, None)
    assert written.pushed_at is not None
    assert Path(pushed_model.destination, CARD).read_text() == "# own"
    # They are not part of the model: it is still the newest version, and the run's copy does not have them.
    assert push(step) == pushed_model
    assert not (step.folder / RELEASE).exists()


def test_the_run_is_that_of_the_address():
    run = "0f3a5c1e-9d0b-4f6e-8a51-2b7d1c9e0a44"
    assert run_of(f"/minio/mlpipeline/v2/artifacts/own/{run}/pusher/4/pushed_model") == run
    assert run_of("/runs/own/pipeline/Pusher/pushed_model/12") is None


def test_a_model_that_was_rolled_back_is_not_pushed_by_the_next_run(step, tmp_path, caplog):
    """The unchanged nightly run after a rollback: the candidate is approved, from the cache, and not pushed."""
    step = step()
    export_tiny(Path(step.destination) / "5", threshold=100.0)
    first = push(step, **drive(step))
    back = rollback(step.destination)
    assert (back.origin, back.replaced) == (5, int(first.version))
    assert drive(step) == {"version": NOT_PUSHED}
    with caplog.at_level("WARNING", logger="restem"):
        again = push(step, **drive(step))
    assert again == SimpleNamespace(pushed=0, destination="", version="")
    assert f"restem rollback {first.version} releases this one again" in caplog.text
    assert versions(step.destination)[0] == back.version
    # Another model is pushed as usual, and the list goes on with it.
    shutil.rmtree(tmp_path / "model")
    model = export_tiny(tmp_path / "model" / "Format-Serving", threshold=90.0)
    step.inputs["model_blessing"][0].set_string_custom_property(JUDGED, fingerprint(str(model)))
    other = push(step, **drive(step))
    assert other.pushed == 1
    assert [str(each.version) for each in withdrawn_models(step.destination)] == [first.version]
    # Someone asks for it.
    rollback(step.destination, int(first.version))
    assert [str(each.version) for each in withdrawn_models(step.destination)] != [first.version]


def test_a_model_that_was_not_compared_with_the_newest_version_is_not_pushed(step, tmp_path, caplog):
    """Two runs at a time: the other one, which began later, has pushed a model that this one does not know."""
    step = step()
    serving = Path(step.destination)
    told = Release(
        baseline="the approved version 5",
        newest_known=6,  # it was skipped: its files are not complete
        baseline_fingerprint=fingerprint(str(export_tiny(serving / "5", threshold=100.0))),
    )
    (tmp_path / "release" / EXTRA).mkdir(parents=True)
    (tmp_path / "release" / RELEASE).write_bytes(told.to_bytes())
    export_tiny(serving / "6", threshold=110.0)
    assert drive(step)["version"] > 6
    export_tiny(serving / "7", threshold=90.0)
    assert drive(step) == {"version": NOT_PUSHED}
    with caplog.at_level("WARNING", logger="restem"):
        assert push(step, version=8) == SimpleNamespace(pushed=0, destination="", version="")
    assert "Version 7 was pushed after the baseline (the approved version 5) was chosen." in caplog.text
    assert [version.number for version in versions(step.destination)] == [7, 6, 5]
    # Somebody goes back to the baseline: now the newest version is what the model was compared with.
    shutil.copytree(serving / "5", serving / "8")
    assert push(step, **drive(step)).pushed == 1


def test_on_a_cluster_the_step_tells_the_result(step, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(module, "tell", lambda **values: told.append(values))
    first = step()
    push(first)
    assert told == []
    monkeypatch.setenv("RESTEM_NOTIFY", "{}")
    (tmp_path / "release" / EXTRA).mkdir(parents=True)
    (tmp_path / "release" / RELEASE).write_bytes(Release(pipeline="own", reason="Approved.").to_bytes())
    pushed_model = push(first)
    push(step(blessed=0))
    assert [(each["approved"], each["pipeline"], each["reason"]) for each in told] == [
        (True, "own", "Approved."),
        (False, "own", "Approved."),
    ]
    assert told[0]["details"]["pushed_to"] == pushed_model.destination
