"""Three candidates through TFX's Evaluator and Pusher: trained on shuffled labels, equal to the baseline, and better.

Each is a network that tells dark images from light ones by one threshold; "training" chooses the threshold.
"""

import json

import numpy as np
import pytest
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from restem.errors import RestemError
from restem.evaluator.answers import FOLDER, read_answers
from restem.evaluator.config import EvaluateConfig
from restem.evaluator.gate import judge
from restem.evaluator.requirement import Requirement
from restem.evaluator.serving import read_serving
from restem.pusher.artifacts import ReleaseNotes
from restem.pusher.executor import Executor as Pusher
from tests.evaluator import independent
from tests.evaluator.runs import evaluate
from tests.tiny_model import CLASSES, artifact, export_tiny, write_examples

IMAGES = 200
NOT_WORSE, BETTER = (
    EvaluateConfig(require=(Requirement(**{kind: limit}),))
    for kind, limit in (("not_worse_than_baseline_by", 0.02), ("better_than_baseline_by", 0.0))
)


def train(levels, labels):
    """The threshold with the most right answers."""
    options = np.arange(0.5, 255)
    return float(options[np.argmax([np.mean((levels > option) == labels) for option in options])])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The test images, and the models' folders."""
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, IMAGES)
    labels = (levels > 128).astype(int)
    own = train(levels, labels)
    thresholds = {
        "shuffled": train(levels, rng.permutation(labels)),
        "equal": own - 25,
        "better": own,
        "baseline": own - 25,  # a tenth of the images is on the wrong side
    }
    for name, threshold in thresholds.items():
        export_tiny(folder / name / "Format-Serving", threshold=threshold)
    return folder, write_examples(folder / "examples", levels.tolist(), labels.tolist())


@pytest.mark.parametrize(
    ("name", "not_worse", "better"), [("shuffled", False, False), ("equal", True, False), ("better", True, True)]
)
def test_a_candidate_is_approved_if_it_should_be(world, tmp_path, name, not_worse, better):
    folder, examples = world
    run = evaluate(NOT_WORSE, tmp_path, examples, folder / name, folder / "baseline")
    assert run.verdict["blessed"] == not_worse
    assert run.verdict["reason"].startswith("Approved: " if not_worse else "Not approved: ")
    answers = read_answers(str(run.evaluation / FOLDER), (), len(CLASSES), IMAGES)
    assert answers.paths == tuple(sorted(answers.paths))
    assert judge(BETTER, answers, CLASSES, by_tfma=True).blessed == better
    assert not judge(NOT_WORSE, answers, CLASSES, by_tfma=False).blessed
    # What TFMA says of the whole and what is decided on single images are about the same answers.
    figures = run.verdict["metrics"]
    right = [float(np.mean(found.argmax(axis=1) == answers.labels)) for found in (answers.candidate, answers.baseline)]
    assert [figures[role]["accuracy"] for role in ("candidate", "baseline")] == pytest.approx(right)
    for role in ("candidate", "baseline"):
        expected = independent.figures(answers.labels, getattr(answers, role))
        assert {key: figures[role][key] for key in expected} == pytest.approx(expected, rel=1e-5), role
    cost = read_serving(str(run.evaluation))
    for served, model in ((cost.candidate, name), (cost.baseline, "baseline")):
        everything = (folder / model / "Format-Serving").rglob("*")
        files = [file for file in everything if file.is_file() and file.parent.name != "assets.extra"]
        assert served.size == sum(file.stat().st_size for file in files)
        assert [latency.batch for latency in served.latencies] == [1, 32]
        assert all(0 < latency.median <= latency.percentile_95 and latency.calls >= 5 for latency in served.latencies)
    assert push(run, tmp_path) == not_worse
    with pytest.raises(RestemError, match="201 different images"):
        read_answers(str(run.evaluation / FOLDER), (), len(CLASSES), IMAGES + 1)


def test_the_version_that_is_served_stays_approved_where_the_images_are_too_few_to_compare_two_models(world, tmp_path):
    folder, _ = world
    levels = [10, 200, 60, 250, 90, 170, 120, 240]
    few = write_examples(tmp_path / "few", levels, [int(level > 128) for level in levels])
    run = evaluate(NOT_WORSE, tmp_path, few, folder / "baseline", folder / "baseline")
    assert run.verdict["blessed"]
    assert run.verdict["same_model"]
    assert "The candidate is the baseline itself" in run.verdict["reason"]


def push(run, folder):
    """Whether TFX's Pusher, which ends without an error in either case, releases the model."""
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(folder / "served"))
    )
    Pusher().Do(
        {
            "model": [run.model],
            "model_blessing": [run.blessing],
            "release": [artifact(ReleaseNotes, folder / "release")],
        },
        {"pushed_model": [artifact(standard_artifacts.PushedModel, folder / "pushed")]},
        {
            "push_destination": proto_utils.proto_to_json(destination),
            "custom_config": json.dumps(
                {"name": "tiny", "storage_uri": None, "allow_class_changes": False, "sign_key": None}
            ),
        },
    )
    return (folder / "served").exists()
