import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from restem.pipeline.local import summary
from restem.run_record import (
    Cost,
    Evaluation,
    ModelInput,
    ModelRecord,
    Repeat,
    Scores,
    write_evaluation,
    write_model,
)
from restem.tuner.trials import Trial, Tuning, write_tuning

BASELINE = {
    "kind": "latest_approved",
    "version": "5",
    "path": "/served/5",
    "skipped": [{"version": "6", "path": "/served/6", "reason": "saved_model.pb is missing"}],
}
DEVIATION = pytest.approx(0.02**0.5)
SLICES = [{"column": "site", "value": "Ulm", "images": 3, "candidate": 1.0, "baseline": 0.5}]


def artifact(folder, **properties):
    folder.mkdir(parents=True, exist_ok=True)
    return SimpleNamespace(uri=str(folder), get_string_custom_property=lambda name: properties.get(name, ""))


def outputs(tmp_path, lines=(), **pushed):
    quarantine = artifact(tmp_path / "quarantine")
    (tmp_path / "quarantine" / "quarantine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = artifact(tmp_path / "report")
    (tmp_path / "report" / "index.html").write_text("")
    baseline = artifact(tmp_path / "baseline")
    (tmp_path / "baseline" / "baseline.json").write_text(json.dumps({**BASELINE, "fingerprint": "ab"}))
    image = ModelInput(8, 8, 1, 1)
    for role in ("candidate", "baseline"):
        artifact(tmp_path / role)
        scores = {"test": Scores(2, 0.5, 0.5, 0.7)}
        cost = Cost(400 if role == "candidate" else 100, {"all": 2.5}, 2000.0)
        repeats = tuple(Repeat(3 + i, {"test": Scores(2, 0.5 + 0.2 * i, 0.5, 0.7)}, 9.0) for i in range(2))
        record = ModelRecord(role, "ResNet50", "none", image, 4, 40, scores=scores, repeats=repeats, cost=cost)
        write_model(tmp_path / role, record)
        write_evaluation(tmp_path / role, Evaluation(("a", "b"), ("1", "2"), np.array([0, 1]), np.eye(2)[[0, 0]]))
    return {
        "Trainer": {"model_run": [artifact(tmp_path / "candidate")]},
        "Baseline": {"model_run": [baseline]},
        "ImageExampleGen": {"quarantine": [quarantine]},
        "Evaluator": {"evaluation": [artifact(tmp_path / "e")], "blessing": [artifact(tmp_path / "b")]},
        "Report": {"report": [report], "release": [artifact(tmp_path / "release")]},
        "Pusher": {"pushed_model": [artifact(tmp_path / "p", **pushed)]},
    }


def test_reads_the_outputs_of_the_steps(tmp_path, monkeypatch):
    (tmp_path / "candidate" / "tensorboard").mkdir(parents=True)
    verdict = {
        "blessed": True,
        "reason": "Good.",
        "metrics": {"candidate": {"accuracy": 0.9, "loss": math.nan}},
        "requirements": [{"passed": True}],
        "slices": SLICES,
        "same_model": False,
    }
    monkeypatch.setattr("restem.evaluator.verdict.read_verdict", lambda evaluation, blessing: verdict)
    lines = [{"path": f"{i}.png", "reason": "r", "bytes": 1} for i in range(30)]
    found = summary.summarise(outputs(tmp_path, lines, pushed_destination="/served/1"))
    assert found["blessed"] is True
    assert found["metrics"] == {"candidate": {"accuracy": 0.9, "loss": None}}
    assert found["slices"] == SLICES
    assert found["requirements"] == [{"passed": True}]
    assert found["baseline"] == BASELINE
    assert found["largest_class"] == {"name": "a", "share": 0.5}
    assert found["never_predicted"] == {"candidate": ["b"], "baseline": ["b"]}
    assert found["only_predicted"] == {"candidate": "a", "baseline": "a"}
    notes = "The candidate predicts a for every test image. The baseline predicts a for every test image."
    assert found["reason"] == f"Good. {notes}"
    assert found["cost"]["candidate"] == {
        "parameters": 4,
        "multiply_adds": 400,
        "seconds": {"all": 2.5},
        "memory_mib": 2000.0,
        "device_memory_mib": None,
    }
    assert found["cost"]["operations_ratio"] == 4
    assert found["cost"]["sentence"] == "One pass of the candidate needs 4 times the operations of the baseline."
    assert found["tensorboard"] == f"tensorboard --logdir {tmp_path / 'candidate' / 'tensorboard'}"
    assert found["scores"]["candidate"]["test"]["balanced_accuracy"] == 0.5
    assert found["seeds"]["seeds"] == (3, 4)
    assert found["seeds"]["candidate"]["accuracy"] == {"by_seed": (0.5, 0.7), "mean": 0.6, "deviation": DEVIATION}
    assert found["seeds"]["difference"]["accuracy"]["by_seed"] == (0.0, 0.0)
    assert found["pushed_to"] == "/served/1"
    assert found["report"] == str(tmp_path / "report" / "index.html")
    assert found["quarantined"] == 30
    assert len(found["quarantine"]) == summary.MAX_REASONS
    assert found["quarantine"][3] == {"path": "3.png", "reason": "r", "bytes": 1}
    assert json.loads(json.dumps(found, allow_nan=False))["quarantine"] == found["quarantine"]


def test_the_tuned_values_are_in_the_result_of_a_run_with_the_tuner(tmp_path, monkeypatch):
    verdict = {"blessed": False, "reason": "Bad.", "metrics": {}, "requirements": [], "slices": [], "same_model": False}
    monkeypatch.setattr("restem.evaluator.verdict.read_verdict", lambda evaluation, blessing: verdict)
    trials = (
        Trial(1, {"train.batch_size": 8}, 1.0, Scores(9, 0.5, 0.5, 0.7)),
        Trial(2, {"train.batch_size": 16}, 1.0, Scores(9, 0.4, 0.4, 0.6)),
        Trial(3, {"train.batch_size": 32}, 1.0, None, "the loss is not a finite number"),
    )
    results = artifact(tmp_path / "results")
    write_tuning(str(tmp_path / "results"), Tuning("loss", None, False, trials))
    found = outputs(tmp_path)
    assert "tuned" not in summary.summarise(found)
    assert summary.summarise({**found, "Tuner": {"tuner_results": [results]}})["tuned"] == {
        "values": {"train.batch_size": 16},
        "metric": "loss",
        "value": 0.6,
        "trials": 3,
        "failed": 1,
    }


def test_nothing_is_pushed_if_the_model_was_rejected(tmp_path, monkeypatch):
    verdict = {"blessed": False, "reason": "Bad.", "metrics": {}, "requirements": [], "slices": [], "same_model": False}
    monkeypatch.setattr("restem.evaluator.verdict.read_verdict", lambda evaluation, blessing: verdict)
    found = summary.summarise(outputs(tmp_path))
    assert found["pushed_to"] is None
    assert found["quarantined"] == 0
