import dataclasses
import json
import re

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts
from tfx.types.channel_utils import as_channel

from restem.errors import RestemError
from restem.evaluator import verdict as evaluator_verdict
from restem.example_gen.artifacts import Quarantine
from restem.pusher.artifacts import ReleaseNotes
from restem.report import reading
from restem.report.artifacts import HtmlReport
from restem.report.component import Report, ReportExecutor
from restem.report.notes import write_notes
from restem.report.page import render
from restem.run_record import Scores, write_evaluation
from restem.tuner.trials import Trial, Tuning, write_tuning
from tests.report.conftest import OUTCOME, evaluation

VERDICT = {
    "blessed": True,
    "reason": "Approved: the candidate's accuracy is better.",
    "metrics": {"candidate": {"accuracy": 0.95}, "baseline": {"accuracy": 0.9}},
    "requirements": [OUTCOME.to_dict()],
    "slices": [{"column": "site", "value": "Ulm", "images": 60, "candidate": 0.95, "baseline": 0.8}],
}
KINDS = {
    "candidate_run": standard_artifacts.ModelRun,
    "baseline_run": standard_artifacts.ModelRun,
    "evaluation": standard_artifacts.ModelEvaluation,
    "blessing": standard_artifacts.ModelBlessing,
    "quarantine": Quarantine,
    "examples": standard_artifacts.Examples,
}


def write_examples(folder, sample, compression="GZIP"):
    """The raw examples of the test split, in two shards, in a different order from the evaluation's."""
    split = folder / "Split-test"
    split.mkdir(parents=True)
    order = np.random.default_rng(0).permutation(len(sample.paths)).tolist()
    suffix = ".gz" if compression else ""
    for shard, positions in enumerate((order[::2], order[1::2])):
        with tf.io.TFRecordWriter(str(split / f"data-{shard:05d}-of-00002{suffix}"), compression) as writer:
            for i in positions:
                features = {
                    "path": sample.paths[i].encode(),
                    "image_bytes": sample.image(i),
                    "label": sample.classes[sample.labels[i]].encode(),
                }
                values = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in features.items()}
                writer.write(tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString())


@pytest.fixture
def run_folders(tmp_path, folders, sample):
    """A run's artifacts on disk: input key -> folder, and their sample."""
    made = sample(classes=("normal", "pneumonia", "肺炎"), images=120, accuracy=(0.9, 0.8))
    written = folders(tmp_path, made)
    write_examples(tmp_path / "examples", made)
    return {**written, "examples": tmp_path / "examples"}, made


def read(folders, **more):
    return reading.read_report_data(
        title="Scans",
        made_at="today",
        versions={},
        verdict=VERDICT,
        candidate_uri=str(folders["candidate_run"]),
        baseline_uri=str(folders["baseline_run"]),
        quarantine_uri=str(folders["quarantine"]),
        examples_uri=str(folders["examples"]),
        **more,
    )


def test_executor_writes_the_page(tmp_path, run_folders, monkeypatch):
    folders, _ = run_folders
    asked = []
    monkeypatch.setattr(evaluator_verdict, "read_verdict", lambda *uris: asked.append(uris) or VERDICT)
    inputs = {}
    for key, kind in KINDS.items():
        artifact = kind()
        artifact.uri = str(folders.get(key, tmp_path / key))
        inputs[key] = [artifact]
    report = HtmlReport()
    report.uri = str(tmp_path / "report")

    release = ReleaseNotes()
    release.uri = str(tmp_path / "release")

    outputs = {"report": [report], "release": [release]}
    ReportExecutor().Do(
        inputs, outputs, {"title": "Chest <scans>", "code": "x", "destination": str(tmp_path / "serving")}
    )

    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert asked == [(str(tmp_path / "evaluation"), str(tmp_path / "blessing"))]
    assert "<h1>Chest &lt;scans&gt;</h1>" in page
    assert "肺炎" in page
    assert "predictions/kernel (a new head), predictions/bias (a new head)." in page
    assert 'class="pixels" src="data:image/png;base64,' in page
    assert f"tensorflow {tf.__version__}" in page


def test_the_trials_are_read_from_the_tuners_results(tmp_path, run_folders):
    tuning = Tuning("loss", None, False, (Trial(1, {"train.batch_size": 8}, 1.0, Scores(9, 0.5, 0.5, 0.7)),))
    write_tuning(str(tmp_path), tuning)
    assert read(run_folders[0]).tuning is None
    assert read(run_folders[0], tuning_uri=str(tmp_path)).tuning == tuning


def test_reading_returns_what_the_steps_wrote(run_folders):
    folders, made = run_folders
    data = read(folders)
    candidate, baseline = data.candidate, data.baseline
    assert (candidate.model.role, baseline.model.role) == ("candidate", "baseline")
    assert (candidate.model.input.names, candidate.model.input.channels) == (("grey",), 1)
    assert len(candidate.history) == 14
    assert candidate.evaluation.paths == made.paths
    np.testing.assert_array_equal(candidate.evaluation.predicted, made.candidate.argmax(axis=1))
    np.testing.assert_array_equal(baseline.evaluation.confidence, made.baseline.max(axis=1))
    assert candidate.stem.claim == "exact"
    assert candidate.stem.picture.startswith("data:image/png")
    assert baseline.stem is None
    assert data.data.quarantined == 3
    assert [refused.bytes for refused in data.data.quarantine] == [1204, 12040, 120400]
    assert (data.data.equal, data.data.leaks, data.data.conflicts, data.data.spans) == (2, 0, 1, (3,))
    assert data.data.splits["test"] == {name: int(np.sum(made.labels == i)) for i, name in enumerate(made.classes)}
    assert data.verdict.requirements == (OUTCOME,)
    assert (data.verdict.slices[0].value, data.verdict.slices[0].images) == ("Ulm", 60)


def test_every_mistake_has_its_own_image(run_folders):
    folders, made = run_folders
    data = read(folders)
    wrong = np.flatnonzero(made.candidate.argmax(axis=1) != made.labels)
    assert len(data.mistakes.shown) == data.mistakes.total == len(wrong) > 3
    for mistake in data.mistakes.shown:
        i = made.paths.index(mistake.path)
        assert mistake.thumbnail == reading.thumbnail(made.image(i))
        assert (mistake.thumbnail.height, mistake.thumbnail.width) == (8, 8)
        assert mistake.label == made.classes[made.labels[i]] != mistake.predicted


def test_disagreements_are_counted_and_their_images_shown(run_folders):
    folders, made = run_folders
    data = read(folders)
    mine, theirs = (made.candidate.argmax(axis=1) == made.labels, made.baseline.argmax(axis=1) == made.labels)
    assert (data.only_candidate.total, data.only_baseline.total) == (sum(mine & ~theirs), sum(~mine & theirs))
    assert len(data.only_candidate.shown) == 6
    for one in data.only_candidate.shown:
        assert one.predicted == one.label != one.baseline_predicted
        assert one.thumbnail == reading.thumbnail(made.image(made.paths.index(one.path)))
    for one in data.only_baseline.shown:
        assert one.baseline_predicted == one.label != one.predicted


def test_uncompressed_examples_are_read_too(tmp_path, run_folders):
    folders, made = run_folders
    write_examples(tmp_path / "plain", made, compression="")
    assert read({**folders, "examples": tmp_path / "plain"}).mistakes == read(folders).mistakes


def test_missing_images_are_logged(tmp_path, run_folders, caplog):
    folders, _ = run_folders
    data = read({**folders, "examples": tmp_path / "nothing"})
    assert data.mistakes.shown
    assert all(mistake.thumbnail is None for mistake in data.mistakes.shown)
    assert "cannot be shown" in caplog.text


def test_runs_in_a_different_order_are_compared_image_by_image(run_folders):
    folders, made = run_folders
    order = np.random.default_rng(1).permutation(len(made.paths))[:100]
    write_evaluation(folders["baseline_run"], evaluation(made, made.baseline).at(order))
    data = read(folders)
    assert data.candidate.evaluation.paths == data.baseline.evaluation.paths
    kept = [i for i in range(len(made.paths)) if i in set(order.tolist())]
    np.testing.assert_array_equal(data.baseline.evaluation.predicted, made.baseline[kept].argmax(axis=1))
    np.testing.assert_array_equal(data.candidate.evaluation.labels, data.baseline.evaluation.labels)


def test_runs_without_a_common_image_are_rejected(run_folders):
    data = read(run_folders[0])
    others = tuple(f"other/{path}" for path in data.baseline.evaluation.paths)
    strangers = dataclasses.replace(data.baseline.evaluation, paths=others)
    with pytest.raises(RestemError, match="not evaluated on the same images"):
        reading.on_the_same_images(data.candidate, dataclasses.replace(data.baseline, evaluation=strangers))


def test_a_change_of_the_classes_is_in_the_verdict(run_folders, tmp_path):
    folders, _ = run_folders
    classes = read(folders).data.classes
    version = tmp_path / "serving" / "7" / "assets.extra"
    version.mkdir(parents=True)
    (version / "classes.json").write_text(json.dumps([*classes[1:], "gone"]))
    data = read(folders, destination=str(tmp_path / "serving"))
    told = f"New class {classes[0]}, not in version 7. Class gone of version 7 without images."
    assert told in data.verdict.reason
    assert told in render(data)
    # After the push, the newest version is this run's model; what was told stays.
    write_notes(str(tmp_path / "release"), data)
    again = read(folders, destination=str(tmp_path / "other"), release_uri=str(tmp_path / "release"))
    assert again.class_changes == data.class_changes


def test_component_names_its_inputs_and_its_output():
    channels = {key: as_channel([kind()]) for key, kind in KINDS.items()}
    step = Report(**channels, title="Scans", destination="/serving")
    assert step.id == "Report"
    assert set(step.inputs) == set(KINDS)
    assert step.outputs["report"].type is HtmlReport
    assert step.exec_properties["title"] == "Scans"
    assert re.fullmatch("[0-9a-f]{16}", step.exec_properties["code"])  # so that changed code invalidates the cache
