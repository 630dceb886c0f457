"""Which steps run again when the code changes."""

import json
import shutil
from pathlib import Path

import pytest

import restem
from restem import fingerprint
from restem.pipeline.config import load_config
from restem.pipeline.pipeline import create_pipeline

INGESTION = {"ImageExampleGen", "SourceExampleGen"}
TRAINING = {"Trainer", "Pretrain", "Baseline", "Tuner"}
TUNE = "tune.over={train.batch_size: {choices: [16, 32]}}"


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """A copy of components/ that tests may change."""
    copy = tmp_path_factory.mktemp("code") / "components"
    shutil.copytree(Path(restem.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "_COMPONENTS", copy)
        yield copy


@pytest.fixture(scope="module")
def steps(code):
    """Returns the properties of each step that TFX's cache compares, without the inputs."""
    config = load_config(
        Path(__file__).parents[2] / "pipeline" / "configs" / "digits.yaml", ["data.path=/images", TUNE]
    )
    return lambda: {
        step.id: json.dumps(dict(step.exec_properties), sort_keys=True, default=str)
        for step in create_pipeline(config, root="/root").components
    }


@pytest.fixture(scope="module")
def before(steps):
    return steps()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("errors.py", {*INGESTION, "Transform", *TRAINING, "Evaluator", "Report", "Pusher"}),
        ("processor.py", {*TRAINING, "Evaluator", "Report"}),
        ("storage.py", {*INGESTION, "Transform", *TRAINING, "Evaluator", "Report", "Pusher"}),
        ("track/mlflow.py", {"Report"}),
        ("tfrecords.py", {*INGESTION, "Transform", "Evaluator"}),
        ("closer_record.py", {*TRAINING, "Report"}),
        ("baseline/choice.py", {"Baseline", "Report"}),
        ("evaluator/decide.py", {"Evaluator"}),
        ("evaluator/verdict.py", {"Report"}),
        ("example_gen/documents.py", INGESTION),
        ("images/container.py", {*INGESTION, "Transform", *TRAINING, "Evaluator", "Report", "Pusher"}),
        ("images/graph/preprocess.py", {"Transform", *TRAINING}),
        ("images/panels.py", {*TRAINING, "Report"}),
        ("images/small.py", {*TRAINING, "Report"}),
        ("notify/send.py", {"Pusher"}),
        ("pusher/push.py", {"Pusher"}),
        ("report/decision_plot.py", {"Report"}),
        ("report/model_card.jinja", {"Report"}),
        ("report/report.css", {"Report"}),
        ("stem/rules/deep.py", {*TRAINING, "Report"}),
        ("stem/table.py", set()),
        ("trainer/optimizer.py", TRAINING),
        ("trainer/saliency.py", TRAINING),
        ("trainer/training.py", TRAINING),
        ("tuner/search.py", {"Tuner"}),
        ("tuner/trials.py", {"Tuner", "Report"}),
    ],
)
def test_a_step_runs_again_if_its_code_changed(code, steps, before, changed, expected):
    file = code / changed
    old = file.read_bytes()
    file.write_bytes(old + b"\n")
    try:
        after = steps()
    finally:
        file.write_bytes(old)
    assert {name for name in before if before[name] != after[name]} == expected


def test_the_same_code_has_the_same_fingerprints(steps, before):
    assert steps() == before


def test_other_changes_do_not_run_any_step_again(code, steps, monkeypatch):
    """These files are used only to build a pipeline or by a command; they do not affect the result of any step."""
    seen = set()
    sources = fingerprint.sources

    def recorded(*modules):
        found = sources(*modules)
        seen.update(found)
        return found

    monkeypatch.setattr(fingerprint, "sources", recorded)
    steps()
    unseen = {file.relative_to(code).as_posix() for file in set(code.rglob("*.py")) - seen}
    assert unseen == {
        "__main__.py",
        "baseline/component.py",
        "convert/__init__.py",
        "convert/convert.py",
        "convert/formats.py",
        "convert/images.py",
        "convert/network.py",
        "convert/to_torch.py",
        "evaluator/component.py",
        "example_gen/component.py",
        "example_gen/validator.py",
        "images/bands.py",
        "pusher/component.py",
        "pusher/config.py",
        "pusher/rollback.py",
        "report/comparison.py",
        "start/component.py",
        "start/driver.py",
        "start/executor.py",
        "stem/allowed.py",
        "stem/checkpoint/summary.py",
        "stem/declared.py",
        "stem/table.py",
        "transform/component.py",
        "tuner/component.py",
        "tuner/executor.py",
        "trainer/speed.py",
    }


def test_without_the_section_tune_there_is_no_trace_of_it():
    digits = Path(__file__).parents[2] / "pipeline" / "configs" / "digits.yaml"
    plain, tuned = (
        {
            step.id: step
            for step in create_pipeline(load_config(digits, ["data.path=/images", *more]), root="/r").components
        }
        for more in ([], [TUNE])
    )
    assert [name for name in tuned if name not in plain] == ["Tuner"]
    assert not any("tun" in key or "hyper" in key for step in plain.values() for key in step.inputs)
    for name in ("Trainer", "Baseline"):
        assert tuned[name].inputs["hyperparameters"] == tuned["Tuner"].outputs["best_hyperparameters"]
        assert plain[name].exec_properties == tuned[name].exec_properties


def test_calibration_is_part_of_the_trained_models_alone():
    config = Path(__file__).parents[2] / "pipeline" / "configs" / "digits.yaml"

    def properties(*settings):
        pipeline = create_pipeline(load_config(config, ["data.path=/images", TUNE, *settings]), root="/root")
        return {
            step.id: json.dumps(dict(step.exec_properties), sort_keys=True, default=str) for step in pipeline.components
        }

    plain, calibrated = (
        properties("data.val_share=0.1", f"evaluate.calibrate={value}") for value in ("none", "temperature")
    )
    assert {step for step in plain if plain[step] != calibrated[step]} == {"Trainer", "Baseline"}
