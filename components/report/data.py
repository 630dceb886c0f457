"""The report's content as plain data, independent of files, TFX and HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from restem.baseline.choice import Choice
from restem.evaluator.outcome import Outcome
from restem.evaluator.serving import ServingCost
from restem.example_gen.classes import ClassChange
from restem.example_gen.dataset import Refused
from restem.report.closer import Closer
from restem.report.pictures import Thumbnail
from restem.run_record import Epoch, Evaluation, ModelRecord
from restem.start.choice import Start
from restem.tuner.trials import Tuning


@dataclass(frozen=True)
class StemTransfer:
    """The transfer report of a changed stem."""

    claim: str  # "exact" or "approximate"
    error: float | None  # largest relative difference of the final features; None: not measured
    weights: Sequence[Mapping[str, Any]]  # each with name, origin, rule
    dropped: Sequence[str]
    text: str
    picture: str | None  # data URI of the old and new kernels
    trained: bool = True  # False: the source has random weights


@dataclass(frozen=True)
class Run:
    """A network and its training, candidate or baseline. An adopted baseline has no history here."""

    model: ModelRecord
    history: tuple[Epoch, ...]
    evaluation: Evaluation
    stem: StemTransfer | None  # None: the unchanged stock stem
    origin: Choice | None = None  # how the baseline was chosen; None for a candidate
    events: str | None = None  # the folder of its training's event files; None: there are none
    start: Start | None = None  # the pushed model that a candidate's training went on from

    @property
    def adopted(self) -> bool:
        """Whether the model existed before this run."""
        return self.origin is not None and self.origin.path is not None


@dataclass(frozen=True)
class Slice:
    """Both models' accuracy on the test images with one value of a column."""

    column: str
    value: str
    images: int
    candidate: float  # accuracy, 0..1
    baseline: float
    judged: bool = True  # whether there are enough images to say something
    difference: tuple[float, float] | None = None  # its limits, each with one-sided 95% confidence


@dataclass(frozen=True)
class Verdict:
    """The Evaluator's decision."""

    blessed: bool
    reason: str
    metrics: Mapping[str, Mapping[str, float]]
    requirements: tuple[Outcome, ...]
    slices: tuple[Slice, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A test image and both models' predictions."""

    path: str
    label: str
    predicted: str
    confidence: float
    baseline_predicted: str
    baseline_confidence: float
    thumbnail: Thumbnail | None  # None: the image could not be shown


@dataclass(frozen=True)
class Answers:
    """Some of the test images with a property, and the number of all of them."""

    shown: tuple[Answer, ...]
    total: int


@dataclass(frozen=True)
class DataSummary:
    """The run's input data."""

    files: int
    classes: tuple[str, ...]
    splits: Mapping[str, Mapping[str, int]]  # split -> class -> images
    quarantined: int
    quarantine: tuple[Refused, ...]  # the first files
    equal: int = 0  # groups of byte-identical images
    leaks: int = 0  # those of them in both splits
    conflicts: int = 0  # those of them in several classes
    spans: tuple[int, ...] = ()  # the numbers of the spans that were read
    class_change: ClassChange | None = None  # how the classes differ from data.classes
    notes: tuple[str, ...] = ()  # what is doubtful about the data


@dataclass(frozen=True)
class ReportData:
    """Everything on the page."""

    title: str
    made_at: str  # "2025-01-31 12:00 UTC"
    verdict: Verdict
    candidate: Run
    baseline: Run  # its evaluation holds the same images in the same order as the candidate's
    mistakes: Answers  # of the candidate, most confident first
    only_candidate: Answers  # only the candidate is right; its most confident predictions first
    only_baseline: Answers  # only the baseline is right; its most confident predictions first
    data: DataSummary
    tuning: Tuning | None = None  # None: nothing was tuned
    serving: ServingCost | None = None  # None: an older version evaluated
    class_changes: tuple[ClassChange, ...] = ()  # from the newest version's classes, and from data.classes
    closer: Closer = field(default_factory=Closer)
    versions: Mapping[str, str] = field(default_factory=dict)  # software, name -> version
