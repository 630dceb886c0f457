"""The step's driver and executor, with folders as TFX passes them."""

import json
from types import SimpleNamespace

import pytest
import tensorflow as tf
from tfx.components.trainer.executor import GenericExecutor
from tfx.types import standard_artifacts
from tfx.types.channel_utils import as_channel

from restem.baseline.choice import Choice
from restem.baseline.component import Baseline
from restem.baseline.driver import Driver
from restem.baseline.executor import Executor
from restem.errors import RestemError
from restem.report.reading import read_run
from restem.run_record import read_evaluation, read_history
from tests.tiny_model import CLASSES, STEM, artifact, write_examples

SCHEMA = """
feature { name: "label" type: BYTES string_domain { name: "label" value: "dark" value: "light" } }
"""
# A model that predicts light for means above 128 is wrong on two of the five.
LEVELS, LABELS = [10, 250, 20, 240, 130], [0, 1, 1, 0, 1]


@pytest.fixture
def step(tmp_path):
    """Inputs and outputs of the step."""
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text(SCHEMA)
    (tmp_path / "run").mkdir()
    return SimpleNamespace(
        inputs={
            "raw_examples": [write_examples(tmp_path / "examples", LEVELS, LABELS)],
            "schema": [artifact(standard_artifacts.Schema, tmp_path / "schema")],
        },
        outputs={
            "model": [artifact(standard_artifacts.Model, tmp_path / "model")],
            "model_run": [artifact(standard_artifacts.ModelRun, tmp_path / "run")],
        },
        run=tmp_path / "run",
        model=tmp_path / "model" / "Format-Serving",
        properties={"baseline": "latest_approved", "destination": str(tmp_path / "serving")},
    )


def drive(step):
    """The property that the driver adds."""
    info = SimpleNamespace(input_dict=step.inputs, exec_properties=step.properties)
    return {key: value.string_value for key, value in Driver(None).run(info).exec_properties.items()}


def train_nothing(trained):
    return lambda self, inputs, outputs, properties: trained.append(properties)


def test_an_approved_version_is_copied_and_evaluated_without_training(put, step, monkeypatch):
    version = put(100)
    (put(200) / "saved_model.pb").unlink()
    monkeypatch.setattr(GenericExecutor, "Do", lambda *_: pytest.fail("training started"))
    Executor().Do(step.inputs, step.outputs, {**step.properties, **drive(step)})

    assert (step.model / "saved_model.pb").read_bytes() == (version / "saved_model.pb").read_bytes()
    probabilities = tf.saved_model.load(str(step.model)).signatures["serve_examples"]
    assert probabilities.structured_outputs["probabilities"].shape[-1] == len(CLASSES)
    evaluation = read_evaluation(step.run)
    assert list(evaluation.paths) == [f"{CLASSES[label]}/{i}.png" for i, label in enumerate(LABELS)]
    assert evaluation.labels.tolist() == LABELS
    assert evaluation.predicted.tolist() == [0, 1, 0, 1, 1]
    assert (evaluation.accuracy, list(evaluation.classes)) == (3 / 5, CLASSES)
    assert read_history(step.run) == ()
    assert json.loads((step.run / "stem.json").read_text()) == STEM
    choice = json.loads((step.run / "baseline.json").read_text())
    assert (choice["kind"], choice["version"], choice["path"]) == ("latest_approved", "100", str(version))
    assert [(entry["version"], entry["reason"]) for entry in choice["skipped"]] == [
        ("200", "saved_model.pb is missing")
    ]


def test_the_report_reads_an_adopted_baseline(put, step):
    version = put(100)
    Executor().Do(step.inputs, step.outputs, step.properties)
    run = read_run(str(step.run))
    assert (run.model.role, run.history, run.stem.claim) == ("baseline", (), "exact")
    assert run.origin == Choice("latest_approved", "100", str(version), run.origin.fingerprint, latest=True)


def test_without_a_driver_the_executor_makes_the_same_choice(put, step):
    put(100)
    Executor().Do(step.inputs, step.outputs, step.properties)
    assert (step.run / "baseline.json").read_text().strip() == drive(step)["choice"]


def test_without_a_version_the_stock_network_is_trained(step, monkeypatch):
    trained = []
    monkeypatch.setattr(GenericExecutor, "Do", train_nothing(trained))
    Executor().Do(step.inputs, step.outputs, step.properties)
    assert trained == [step.properties]
    assert Choice.from_json((step.run / "baseline.json").read_text()) == Choice("stock", latest=True)


def test_a_version_that_changes_while_it_is_copied_stops_the_step(put, step):
    version = put(100)
    properties = {**step.properties, **drive(step)}
    (version / "assets.extra" / "stem.json").write_text("{}")
    with pytest.raises(RestemError, match=r"evaluate\.baseline .*changed while it was being copied"):
        Executor().Do(step.inputs, step.outputs, properties)


def test_the_cache_key_is_the_version_found_and_its_content(put, step):
    none = drive(step)
    step.properties["baseline"] = "stock"
    stock = drive(step)
    step.properties["baseline"] = "latest_approved"
    version = put(100)
    first = drive(step)
    assert first == drive(step) != none
    (version / "assets.extra" / "stem.json").write_text("{}")
    changed = drive(step)
    put(200)
    assert len({str(key) for key in (none, first, changed, drive(step))}) == 4
    step.properties["baseline"] = "stock"
    assert drive(step) == stock  # independent of pushed versions


def test_a_class_of_the_newest_version_that_has_no_images_stops_the_driver(put, step, monkeypatch):
    (put(100) / "assets.extra" / "classes.json").write_text(json.dumps([*CLASSES, "rare"]))
    with pytest.raises(RestemError, match="the class rare of version 100 has no images"):
        drive(step)
    with pytest.raises(RestemError, match="the class rare of version 100 has no images"):  # on Kubeflow
        Executor().Do(step.inputs, step.outputs, step.properties)
    step.properties["allow_class_changes"] = 1
    assert Choice.from_json(drive(step)["choice"]).kind == "stock"


def test_a_given_folder_without_a_model_stops_the_driver(step, tmp_path):
    step.properties = {"baseline": str(tmp_path / "nowhere")}
    with pytest.raises(RestemError, match=r"evaluate\.baseline"):
        drive(step)


@pytest.mark.parametrize(("asked", "destination"), [("stock", None), ("latest_approved", "/serving"), ("/m/5", None)])
def test_component_has_the_inputs_of_a_trainer_and_the_raw_examples(asked, destination):
    examples = as_channel([standard_artifacts.Examples()])
    step = Baseline(
        examples=examples,
        transform_graph=as_channel([standard_artifacts.TransformGraph()]),
        schema=as_channel([standard_artifacts.Schema()]),
        raw_examples=examples,
        baseline=asked,
        destination="/serving",
        sections={"model": {"weights": "none"}},
        config={},
    )
    assert step.id == "Baseline"
    assert set(step.inputs) == {"examples", "transform_graph", "schema", "raw_examples"}
    assert step.exec_properties.get("destination") == destination
    custom = json.loads(step.exec_properties["custom_config"])
    assert custom["role"] == "baseline"
    assert all(isinstance(value, str) for value in step.exec_properties.values() if value is not None)
