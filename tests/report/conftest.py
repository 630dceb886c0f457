"""Synthetic runs: as data for the page, and as the folders that the pipeline's steps write."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restem.evaluator.outcome import ALL, Outcome
from restem.evaluator.serving import Latency, Serving, ServingCost
from restem.example_gen.dataset import Refused
from restem.report.answers import choose_answers
from restem.report.data import (
    DataSummary,
    ReportData,
    Run,
    StemTransfer,
    Verdict,
)
from restem.report.pictures import Thumbnail, picture_uri, thumbnail
from restem.run_record import (
    Cost,
    Epoch,
    Evaluation,
    ModelInput,
    ModelRecord,
    write_evaluation,
    write_history,
    write_model,
)

DIGITS = tuple("0123456789")
CONFIG = {
    "data": {"path": "embedded:digits", "layout": "folders", "test_share": 0.2},
    "image": {"size": 16, "channels": 1, "bands": None},
    "model": {"backbone": "ResNet50", "weights": "pretrain"},
    "stem": {"small_images": True},
    "train": {"seed": 7, "deterministic": False, "batch_size": 64},
    "evaluate": {"min_accuracy": 0.9, "min_improvement": 0.0},
}
STEM = {
    "claim": "exact",
    "error": 2.4e-7,
    "weights": [
        {"name": "conv1_conv/kernel", "origin": "conv1_conv/kernel", "rule": "sums of tap groups"},
        {"name": "conv1_conv/bias", "origin": "conv1_conv/bias", "rule": "carried over"},
        *[
            {"name": f"conv2_block{i}_1_conv/kernel", "origin": "same name", "rule": "carried over"}
            for i in range(1, 300)
        ],
    ],
    "dropped": [{"name": f"predictions/{part}", "why": "a new head"} for part in ("kernel", "bias")],
}


OUTCOME = Outcome(
    metric="accuracy",
    kind="at_least",
    over=ALL,
    images=360,
    value=0.97,
    interval=(0.95, 0.98),
    confidence=0.95,
    limit=0.9,
    passed=True,
    required="Accuracy at least 90%",
    measured="measured 97.0% (95.0% to 98.0%, each end with one-sided 95% confidence) on 360 images",
)


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """The raw data of a run: the models' predictions on synthetic test images."""

    classes: tuple[str, ...]
    labels: np.ndarray
    candidate: np.ndarray  # probabilities
    baseline: np.ndarray
    paths: tuple[str, ...]
    quarantined: int
    blessed: bool

    def image(self, i: int) -> bytes:
        """A PNG of 8x8 grey pixels."""
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8), dtype=np.uint8)
        output = io.BytesIO()
        Image.fromarray(pixels).save(output, "PNG")
        return output.getvalue()


def probabilities(rng: np.random.Generator, labels: np.ndarray, classes: int, accuracy: float) -> np.ndarray:
    """Softmax outputs of which about this share is right."""
    answers = np.where(rng.random(len(labels)) < accuracy, labels, rng.integers(0, classes, len(labels)))
    logits = rng.normal(0, 1, (len(labels), classes))
    logits[np.arange(len(labels)), answers] = logits.max(axis=1) + rng.exponential(4, len(labels)) + 1
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


def make_sample(
    classes: tuple[str, ...] = DIGITS,
    images: int = 360,
    accuracy: tuple[float, float] = (0.97, 0.9),
    quarantined: int = 3,
    blessed: bool = True,
    seed: int = 0,
) -> Sample:
    """`accuracy`: of the candidate and of the baseline, approximately; 1.0 is exact."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(0, len(classes), images))
    candidate, baseline = (probabilities(rng, labels, len(classes), a) for a in accuracy)
    paths = tuple(f"test/{classes[label]}/{i:04d}.png" for i, label in enumerate(labels))
    return Sample(classes, labels, candidate, baseline, paths, quarantined, blessed)


def history(final: float, speed: float) -> tuple[Epoch, ...]:
    """Ten epochs of the head on cached features, four of the whole network."""
    head = [Epoch("head", e, (3.1 - final) * 0.75**e, final - 0.5 * 0.7**e, 1437 / 9000, 9000.0) for e in range(1, 11)]
    rest = [Epoch("all", e, 0.12 * 0.7**e, final - 0.03 * 0.6**e, 1437 / speed, speed) for e in range(1, 5)]
    return (*head, *rest)


SERVING = ServingCost(
    Serving(94_300_000, (Latency(1, 100, 0.0123, 0.0151), Latency(32, 9, 0.31, 0.402))),
    Serving(94_400_000, (Latency(1, 100, 0.0041, 0.0052), Latency(32, 33, 0.0934, 0.101))),
    "x86_64 with AVX2; oneDNN on",
)


def evaluation(sample: Sample, answers: np.ndarray) -> Evaluation:
    return Evaluation(sample.classes, sample.paths, sample.labels, answers)


def make_data(sample: Sample, title: str = "Digits") -> ReportData:
    """The page's data for a sample."""
    candidate, baseline = evaluation(sample, sample.candidate), evaluation(sample, sample.baseline)
    accuracies = [float(e.right.mean()) for e in (candidate, baseline)]
    common = {
        "backbone": "ResNet50",
        "weights": "pretrain",
        "train_images": 1437,
        "seed": 7,
        "config": {**CONFIG, "data": {**CONFIG["data"], "path": "/data/scans"}},
    }
    stem = StemTransfer(
        STEM["claim"],
        STEM["error"],
        STEM["weights"],
        ("predictions/kernel (a new head)",),
        "claim: exact\n…",
        picture_uri(kernels_png()),
    )

    def thumbnails(paths: set[str]) -> dict[str, Thumbnail]:
        return {path: thumbnail(sample.image(sample.paths.index(path))) for path in paths}

    by_class = {name: int(np.sum(sample.labels == i)) for i, name in enumerate(sample.classes)}
    return ReportData(
        title=title,
        made_at="2025-01-31 12:00 UTC",
        verdict=verdict(sample.blessed, *accuracies),
        candidate=Run(
            model=ModelRecord(
                role="candidate",
                input=ModelInput(16, 16, 1, 1, ("grey",)),
                parameters=23_600_000,
                precision="mixed_bfloat16",
                cost=Cost(82_100_000, {"head": 1.6, "all": 27.4}, 2900.4, 1500.0),
                **common,
            ),
            history=history(0.995, 210.0),
            evaluation=candidate,
            stem=stem,
        ),
        baseline=Run(
            model=ModelRecord(
                role="baseline",
                input=ModelInput(16, 16, 3, 3, ("red", "green", "blue")),
                parameters=23_608_202,
                cost=Cost(20_800_000, {"head": 1.6, "all": 22.1}, 2800.0),
                **common,
            ),
            history=history(0.96, 260.0),
            evaluation=baseline,
            stem=None,
        ),
        **choose_answers(
            candidate,
            baseline,
            lambda paths: {path: thumbnail(sample.image(sample.paths.index(path))) for path in paths},
        ),
        data=DataSummary(
            files=5 * len(sample.labels) + sample.quarantined,
            classes=sample.classes,
            splits={"train": {name: 4 * n for name, n in by_class.items()}, "test": by_class},
            quarantined=sample.quarantined,
            quarantine=tuple(
                Refused(f"7/broken{i}.jpg", "the JPEG ends early", 1204 * 10**i if i < 3 else -1)
                for i in range(sample.quarantined)
            ),
        ),
        serving=SERVING,
        versions={"Python": "3.11.9", "tfx": "1.21.0"},
    )


def verdict(blessed: bool, candidate: float, baseline: float) -> Verdict:
    return Verdict(
        blessed=blessed,
        reason=f"{'Approved' if blessed else 'Not approved'}: the candidate's accuracy is {candidate:.4f}, the "
        f"baseline's is {baseline:.4f}.",
        metrics={"candidate": {"accuracy": candidate}, "baseline": {"accuracy": baseline}},
        requirements=(
            OUTCOME,
            dataclasses.replace(OUTCOME, kind="better_than_baseline_by", passed=blessed, note="About 2,100 would do."),
        ),
    )


def kernels_png() -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (120, 480, 3), dtype=np.uint8)
    output = io.BytesIO()
    Image.fromarray(pixels).save(output, "PNG")
    return output.getvalue()


def write_folders(root: Path, sample: Sample) -> dict[str, Path]:
    """Writes the artifacts' folders (except the Examples) as the pipeline's steps do: input key -> folder."""
    data = make_data(sample)
    folders = {}
    for key, run in (("candidate_run", data.candidate), ("baseline_run", data.baseline)):
        folder = folders[key] = root / key
        folder.mkdir(parents=True)
        write_model(folder, dataclasses.replace(run.model, config=CONFIG))
        write_history(folder, run.history)
        write_evaluation(folder, run.evaluation)
    (folders["candidate_run"] / "stem.json").write_text(json.dumps(STEM))
    (folders["candidate_run"] / "stem.txt").write_text("claim: exact")
    (folders["candidate_run"] / "stem.png").write_bytes(kernels_png())

    folder = folders["quarantine"] = root / "quarantine"
    folder.mkdir()
    splits = {
        name: {"images": sum(by_class.values()), "by_class": by_class} for name, by_class in data.data.splits.items()
    }
    summary = {
        "files": data.data.files,
        "quarantined": sample.quarantined,
        "classes": sample.classes,
        "splits": splits,
        "duplicates": {"groups": 2, "leaks": 0, "conflicts": 1},
        "spans": [3],
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    lines = [json.dumps({"path": q.path, "reason": q.reason, "bytes": q.bytes}) for q in data.data.quarantine]
    (folder / "quarantine.jsonl").write_text("".join(line + "\n" for line in lines))
    return folders


@pytest.fixture(scope="session")
def sample():
    """Creates samples, see `make_sample`."""
    return make_sample


@pytest.fixture(scope="session")
def report_data():
    """Creates the page's data from `make_sample`'s arguments."""
    return lambda title="Digits", **arguments: make_data(make_sample(**arguments), title)


@pytest.fixture(scope="session")
def folders():
    """Writes the artifacts' folders, see `write_folders`."""
    return write_folders
