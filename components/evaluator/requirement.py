"""One requirement of a candidate, as it is configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from restem.errors import RestemError
from restem.evaluator.terms import ACCURACY, EACH_SIDE, Metric
from restem.section import Section

Kind = Literal[
    "at_least",
    "not_worse_than_baseline_by",
    "better_than_baseline_by",
    "better_than_largest_class_by",
    "at_least_above_baseline",
    "may_lose",
]
KINDS = get_args(Kind)
# Of these the measured value counts, not its interval, unless a confidence is set.
BY_VALUE = ("at_least", "at_least_above_baseline")
GROUPED = "may_lose"


class Requirement(Section):
    """Exactly one of the kinds, on a metric, over all test images or a part of them."""

    metric: Metric = Field(
        ACCURACY,
        description="accuracy; balanced_accuracy: the mean of the classes' recalls (macro recall); macro_f1: the mean "
        "of the classes' F1.",
    )
    at_least: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Minimum of the candidate's metric. Without confidence the measured value counts; with it, the "
        "lower end of its interval.",
    )
    not_worse_than_baseline_by: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Non-inferiority: the loss against the baseline that is still acceptable. The lower end of the "
        "interval of the difference must be above minus this number.",
    )
    better_than_baseline_by: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Superiority: the lower end of the interval of the difference from the baseline must be above this "
        "number, which may be 0.",
    )
    better_than_largest_class_by: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="The same, against always answering with the class that has the most test images.",
    )
    at_least_above_baseline: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Minimum of the measured difference from the baseline, whatever its interval; a negative value "
        "allows a loss. evaluate.min_improvement is short for it.",
    )
    may_lose: float | None = Field(
        None,
        gt=0,
        le=1,
        description="With each_class or each_value_of: a candidate is refused if a class or slice is shown to lose "
        "more accuracy than this, corrected for the number of comparisons (Holm).",
    )
    confidence: float | None = Field(
        None,
        gt=0.5,
        lt=1,
        description=f"One-sided. Default: {EACH_SIDE}; none for at_least, and never for at_least_above_baseline.",
    )
    in_class: str | None = Field(None, description="Only the test images of this class; the metric is accuracy.")
    in_slice: Mapping[str, str] | None = Field(
        None, min_length=1, description="Only the test images with these values of columns of data.metadata."
    )
    each_class: bool = Field(False, description="Every class by itself; with may_lose.")
    each_value_of: str | None = Field(
        None, description="The images with each value of this column of data.metadata by themselves; with may_lose."
    )

    @field_validator("in_slice", mode="before")
    @classmethod
    def _values_are_text(cls, value: object) -> object:
        """YAML reads 1 or true where the column has text."""
        if not isinstance(value, Mapping):
            return value
        wrong = {name: given for name, given in value.items() if not isinstance(given, str)}
        if wrong:
            name, given = next(iter(wrong.items()))
            raise RestemError(
                "in_slice compares text", expected=f"{name}: '{given}', in quotes", given=f"{name}: {given}"
            )
        return value

    @model_validator(mode="after")
    def _keys_fit_together(self) -> Requirement:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise RestemError(
                "a requirement has exactly one kind",
                expected=f"one of {', '.join(KINDS)}",
                given=", ".join(given) or "none of them",
                remedy="Write one list entry for each",
            )
        parts = [
            name
            for name in ("in_class", "in_slice", "each_class", "each_value_of")
            if getattr(self, name) not in (None, False)
        ]
        grouped = [name for name in parts if name.startswith("each_")]
        if (self.kind == GROUPED) != bool(grouped):
            raise RestemError(
                "may_lose needs each_class or each_value_of, and they need may_lose",
                given=", ".join([self.kind, *parts]),
                remedy="For example {each_class: true, may_lose: 0.1}; for one class or slice: in_class or in_slice",
            )
        if len(grouped) > 1 or (grouped and len(parts) > 1):
            raise RestemError("these keys exclude each other", given=" and ".join(parts), expected="one of them")
        if self.metric != ACCURACY and (self.in_class is not None or grouped):
            raise RestemError(
                "a part of the images has only an accuracy here",
                expected=f"metric: {ACCURACY} (of one class it is the recall)",
                given=f"metric: {self.metric}",
            )
        if self.in_class is not None and self.kind == "better_than_largest_class_by":
            raise RestemError(
                "the images of one class have no largest class",
                expected="at_least",
                given=self.kind,
            )
        if self.kind == "at_least_above_baseline" and self.confidence is not None:
            raise RestemError(
                "at_least_above_baseline compares the measured difference, so it has no confidence",
                given=f"confidence: {self.confidence:g}",
                remedy="Use better_than_baseline_by or not_worse_than_baseline_by",
            )
        return self

    @property
    def kind(self) -> Kind:
        """Which of the kinds it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def limit(self) -> float:
        """The number of its kind."""
        return float(getattr(self, self.kind))

    @property
    def level(self) -> float | None:
        """The one-sided confidence; None: the measured value counts."""
        if self.confidence is None and self.kind in BY_VALUE:
            return None
        return self.confidence or EACH_SIDE

    @property
    def compared(self) -> bool:
        """Whether it compares with the baseline."""
        return self.kind not in ("at_least", "better_than_largest_class_by")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of data.metadata that it needs."""
        return (*(self.in_slice or ()), *([self.each_value_of] if self.each_value_of is not None else []))
