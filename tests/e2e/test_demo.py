"""The embedded demo from the start to a pushed model, and which steps come from the cache in later runs."""

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from restem.evaluator.paired import paired
from restem.images import encode_for_serving
from restem.run_record import read_evaluation, read_history, read_model
from tests.e2e.conftest import DIGITS, REPOSITORY, RESTEM

# The first test of a module waits for its run.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]

STEPS = [
    "ImageExampleGen",
    "StatisticsGen",
    "ExampleValidator",
    "SourceExampleGen",
    "Transform",
    "Pretrain",
    "Trainer",
    "Baseline",
    "Evaluator",
    "Report",
    "Pusher",
]

# Runs in a process that cannot import this project or TFX, like TensorFlow Serving.
SERVE = """
import importlib.abc, json, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('restem', 'tfx'):
            raise ImportError('not here: ' + name)
sys.meta_path.insert(0, Refuse())
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
images, records = json.load(open(sys.argv[2])), tf.data.TFRecordDataset(sys.argv[3], compression_type='GZIP')
by_bytes = model.signatures['serving_default'](image_bytes=tf.constant([open(p, 'rb').read() for p in images]))
serialized = tf.constant(list(records.as_numpy_iterator()))
by_example = model.signatures['serve_examples'](examples=serialized)
paths = tf.io.parse_example(serialized, {'path': tf.io.FixedLenFeature([], tf.string)})['path']
np.savez(sys.argv[4], bytes=by_bytes['probabilities'], label=by_bytes['label'].numpy().astype(str),
         examples=by_example['probabilities'], paths=paths.numpy().astype(str))
"""


def test_approved_and_better_beyond_chance(demo):
    """With the margin that tests/benchmarks/demo.json shows for other seeds and processors."""
    result = demo.result
    assert result["blessed"], result["reason"]
    answers = {}
    for step in ("Trainer", "Baseline"):
        (file,) = (demo.root / "pipeline").glob(f"{step}/model_run/*/evaluation.npz")
        evaluation = read_evaluation(file.parent)
        answers[step] = dict(zip(evaluation.paths, evaluation.right.tolist(), strict=True))
    candidate, baseline = (
        np.array([answers[step][path] for path in sorted(answers["Trainer"])]) for step in ("Trainer", "Baseline")
    )
    assert paired(candidate, baseline).difference.low > 0.05
    assert result["quarantined"] == 0
    assert [step for step in STEPS if step not in result["seconds"]] == []
    report = Path(result["report"]).read_text(encoding="utf-8")
    assert report.lstrip().startswith("<!DOCTYPE html>")
    assert "Only the candidate is right" in report
    assert f"Trained on {platform.machine()} with " in report


def test_pushed_in_tensorflow_servings_layout(demo):
    version = Path(demo.result["pushed_to"])
    assert version.parent == demo.root / "serving" / "digits"
    assert version.name.isdigit()
    assert (version / "saved_model.pb").is_file()
    assert json.loads((version / "assets.extra" / "classes.json").read_text()) == [str(i) for i in range(10)]
    assert json.loads((version / "assets.extra" / "stem.json").read_text())["claim"] == "approximate"
    assert json.loads((version / "assets.extra" / "model.json").read_text())["config"]["stem"]["extra_bands"] == "mean"


def test_the_version_and_the_results_of_the_steps_can_be_proved(demo, restem):
    checked = restem("verify", demo.root, "--json").result
    assert (checked["version"], checked["differs"]) == (demo.result["pushed_to"], False)
    assert checked["of_run"] == f"{demo.root}@{checked['run'][:19]}"
    assert all(checked["made_of"][digest] for digest in ("data", "configuration", "code", "packages"))
    results = checked["results"]
    assert [result for result in results if not result["known"]] == []
    assert {result["step"] for result in results} == set(STEPS)


def test_candidate_and_baseline_are_trained_under_the_same_conditions(demo):
    runs = {}
    for folder in (demo.root / "pipeline").glob("*/model_run/*"):
        if (folder / "model.json").is_file():
            model = read_model(folder)
            runs[model.role] = (model, [(epoch.phase, epoch.epoch) for epoch in read_history(folder)])
    candidate, baseline = runs["candidate"], runs["baseline"]
    assert candidate[1] == baseline[1]
    for key in ("backbone", "weights", "train_images", "seed", "input"):
        assert getattr(candidate[0], key) == getattr(baseline[0], key)


def test_pushed_model_serves_without_this_project(demo, tmp_path):
    run = next(
        folder
        for folder in (demo.root / "pipeline").glob("Trainer/model_run/*")
        if (folder / "evaluation.npz").is_file()
    )
    evaluation = read_evaluation(run)
    expected = dict(zip(evaluation.paths, evaluation.probabilities, strict=True))
    labels = dict(zip(evaluation.paths, evaluation.labels, strict=True))
    records = next((demo.root / "pipeline").glob("ImageExampleGen/examples/*/Split-test/*"))
    paths = sorted(expected)
    # TensorFlow does not decode TIFF: clients send what encode_for_serving returns.
    images = [tmp_path / f"{place}.encoded" for place in range(len(paths))]
    for path, image in zip(paths, images, strict=True):
        image.write_bytes(encode_for_serving(demo.root / "data" / "documents" / path))
    (tmp_path / "images.json").write_text(json.dumps([str(image) for image in images]))
    subprocess.run(
        [
            sys.executable,
            "-c",
            SERVE,
            demo.result["pushed_to"],
            tmp_path / "images.json",
            records,
            tmp_path / "served.npz",
        ],
        check=True,
        cwd=tmp_path,
        timeout=300,
    )
    with np.load(tmp_path / "served.npz") as served:
        by_bytes = dict(zip(paths, served["bytes"], strict=True))
        by_example = dict(zip(served["paths"], served["examples"], strict=True))
        named = dict(zip(paths, served["label"], strict=True))
    assert len(by_example) > 0
    for path in paths:
        np.testing.assert_allclose(by_bytes[path], expected[path], atol=1e-4)
    for path, probabilities in by_example.items():
        np.testing.assert_allclose(probabilities, expected[path], atol=1e-4)
    right = np.mean([named[path] == str(labels[path]) for path in paths])
    # Other batch sizes round differently: one prediction may change.
    assert right == pytest.approx(demo.result["metrics"]["candidate"]["accuracy"], abs=1.5 / len(paths))


def test_an_interrupted_run_shows_how_to_continue(demo):
    assert demo.interrupted.code == 130
    lines = demo.interrupted.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert "ImageExampleGen" in lines[0]
    assert "restem run --config" in lines[0].replace("/restem run", " restem run")


def test_the_next_run_continues_after_the_finished_steps(demo):
    ran = steps_that_ran(demo.err)
    assert "ImageExampleGen" not in ran
    assert "Pretrain" in ran
    assert "Pusher" in ran


def test_a_second_run_on_the_same_root_is_refused(demo):
    assert demo.second.code == 1
    assert "another run" in demo.second.err
    assert str(demo.root) in demo.second.err
    assert "Traceback" not in demo.second.err


def test_an_unchanged_run_takes_everything_from_the_cache(demo, restem):
    again = restem("run", "--config", DIGITS, "--root", demo.root, "--json")
    assert again.code == 0, again.err
    assert steps_that_ran(again.err) == []
    for key in ("blessed", "metrics", "pushed_to"):
        assert again.result[key] == demo.result[key]


def test_tfx_command_line_runs_the_same_pipeline_and_a_stricter_threshold_is_evaluated_again(demo, tmp_path):
    strict = tmp_path / "strict.yaml"
    strict.write_text(DIGITS.read_text(encoding="utf-8").replace("min_accuracy: 0.7 ", "min_accuracy: 0.9999 "))
    environment = {
        **os.environ,
        "RESTEM_CONFIG": str(strict),
        "RESTEM_ROOT": str(demo.root),
        "HOME": str(tmp_path),
        "PATH": f"{RESTEM.parent}{os.pathsep}{os.environ['PATH']}",
    }
    output = ""
    for arguments in (
        ["pipeline", "create", "--engine=local", f"--pipeline_path={REPOSITORY / 'pipeline' / 'local_runner.py'}"],
        ["run", "create", "--engine=local", "--pipeline_name=digits"],
    ):
        done = subprocess.run(
            [RESTEM.with_name("tfx"), *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        output += done.stdout + done.stderr
    states = dict(re.findall(r"^restem: (\w+): (done|cached)$", output, re.MULTILINE))
    assert sorted(states) == sorted(STEPS)
    assert sorted(step for step, state in states.items() if state == "done") == ["Evaluator", "Pusher", "Report"]
    # The stricter threshold was not met, so nothing new was pushed.
    assert len(list((demo.root / "serving" / "digits").iterdir())) == 1


def steps_that_ran(console: str) -> list[str]:
    """The steps that the console shows as computed, not as taken from the cache."""
    return [step for step in STEPS if re.search(rf"^ *{step} +done in", console, re.MULTILINE)]
