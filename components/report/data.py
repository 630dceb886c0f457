"""What the report shows, as plain data: nothing here knows of files, TFX or HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from restem.baseline.choice import Choice
from restem.example_gen.dataset import Refused
from restem.report.pictures import Thumbnail
from restem.run_record import Epoch, Evaluation, ModelRecord


@dataclass(frozen=True)
class StemTransfer:
    """The transfer report of a changed stem."""

    claim: str  # "exact" or "approximate"
    error: float | None  # largest relative difference of the final features; None: not measured
    weights: Sequence[Mapping[str, Any]]  # each with name, origin, rule
    dropped: Sequence[str]
    text: str
    picture: str | None  # data URI of the old and new kernels


@dataclass(frozen=True)
class Run:
    """A network and its training: the candidate's or the baseline's. An adopted baseline has no history here."""

    model: ModelRecord
    history: tuple[Epoch, ...]
    evaluation: Evaluation
    stem: StemTransfer | None  # None: the stock stem, untouched
    origin: Choice | None = None  # what the baseline is; None: a candidate

    @property
    def adopted(self) -> bool:
        """Whether the model was there before this run."""
        return self.origin is not None and self.origin.path is not None


@dataclass(frozen=True)
class Threshold:
    """One demand of the configuration and whether it was met."""

    name: str
    kind: str  # "absolute" (the candidate alone) or "relative" (against the baseline)
    limit: float
    value: float
    passed: bool


@dataclass(frozen=True)
class Slice:
    """Both models on the test images with one value of a column."""

    column: str
    value: str
    images: int
    candidate: float  # accuracy, 0..1
    baseline: float


@dataclass(frozen=True)
class Verdict:
    """The Evaluator's decision."""

    blessed: bool
    reason: str
    metrics: Mapping[str, Mapping[str, float]]
    thresholds: tuple[Threshold, ...]
    slices: tuple[Slice, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A test image and what both models say of it."""

    path: str
    label: str
    predicted: str
    confidence: float
    baseline_predicted: str
    baseline_confidence: float
    thumbnail: Thumbnail | None  # None: the image could not be shown


@dataclass(frozen=True)
class Answers:
    """Some of the test images with a property, and how many have it."""

    shown: tuple[Answer, ...]
    total: int


@dataclass(frozen=True)
class DataSummary:
    """What the run was fed with."""

    files: int
    classes: tuple[str, ...]
    splits: Mapping[str, Mapping[str, int]]  # split -> class -> images
    quarantined: int
    quarantine: tuple[Refused, ...]  # the first ones
    equal: int = 0  # groups of images that are equal byte for byte
    leaks: int = 0  # of them, those in both splits
    conflicts: int = 0  # of them, those in several classes
    spans: tuple[int, ...] = ()  # the numbers of the spans that were read


@dataclass(frozen=True)
class ReportData:
    """Everything on the page."""

    title: str
    made_at: str  # "2025-01-31 12:00 UTC"
    verdict: Verdict
    candidate: Run
    baseline: Run  # its evaluation holds the same images in the same order as the candidate's
    mistakes: Answers  # of the candidate, the surest first
    only_candidate: Answers  # the candidate is right and the baseline wrong, the surest answers of the candidate first
    only_baseline: Answers  # the other way round
    data: DataSummary
    versions: Mapping[str, str] = field(default_factory=dict)  # software, name -> version
