"""The configuration's section `tune`: which keys are tuned, over which values."""

import itertools
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from restem.errors import RestemError
from restem.installed import check_packages
from restem.section import Section

Value = bool | int | float | str | None


class Axis(Section):
    """The values of one key: a range, or a list."""

    min: int | float | None = Field(None, description="The smallest value of a range.")
    max: int | float | None = Field(None, description="The largest value of a range.")
    scale: Literal["linear", "log"] = Field(
        "linear", description="'log': every power of ten in the range is as likely, which suits learning rates."
    )
    choices: tuple[Value, ...] | None = Field(None, description="The values, in place of a range.")

    @model_validator(mode="after")
    def _is_a_range_or_a_list(self) -> "Axis":
        given = ", ".join(name for name in ("min", "max", "choices") if getattr(self, name) is not None) or "nothing"
        if self.choices is not None:
            if self.min is not None or self.max is not None or self.scale != "linear":
                raise RestemError("choices exclude a range", expected="either choices, or min and max", given=given)
            if len({(type(value), value) for value in self.choices}) < max(2, len(self.choices)):
                expected = "at least two values, all different"
                raise RestemError("there is nothing to choose from", expected=expected, given=str(list(self.choices)))
            return self
        if self.min is None or self.max is None:
            raise RestemError("the values are missing", expected="min and max, or choices", given=given)
        if not self.min < self.max:
            given = f"min {self.min:g} and max {self.max:g}"
            raise RestemError("the range is empty", expected="a min less than max", given=given)
        if self.scale == "log" and self.min <= 0:
            remedy = "Use scale: linear, or a larger min"
            raise RestemError("scale: log has no zero", expected="a min above 0", given=f"{self.min:g}", remedy=remedy)
        return self

    def extremes(self) -> list[tuple[tuple[str | int, ...], Value]]:
        """The choices, or both ends of the range, each with its place in this section."""
        if self.choices is not None:
            return [(("choices", i), value) for i, value in enumerate(self.choices)]
        return [(("min",), self.min), (("max",), self.max)]


class TuneConfig(Section):
    """A search for better values of some keys, before the training."""

    trials: int = Field(12, ge=2, le=1000, description="How many combinations of values are tried.")
    search: Literal["random", "bayesian"] = Field(
        "random",
        description="'random', or 'bayesian': after a third of the trials, a Gaussian process proposes the values.",
    )
    metric: Literal["accuracy", "balanced_accuracy", "loss", "auc"] | None = Field(
        None, description="What is compared, on the validation images; null means train.metric."
    )
    epochs: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Trials have at most so many epochs in each phase; null means as many as the training.",
    )
    over: dict[str, Axis] = Field(
        description="The tuned keys of the sections train and stem, each with its values, as in "
        "{train.all.learning_rate: {min: 1.0e-5, max: 1.0e-3, scale: log}, train.batch_size: {choices: [16, 32]}}.",
    )

    def combinations(self, section: str) -> Iterator[dict[str, Any]]:
        """Every combination of the extremes of a section's keys, named without the section; {} if it has none."""
        axes = {name.partition(".")[2]: axis for name, axis in self.over.items() if name.startswith(f"{section}.")}
        for values in itertools.product(*(axis.extremes() for axis in axes.values())):
            yield {name: value for name, (_, value) in zip(axes, values, strict=True)}


def check_installed() -> None:
    """Rejects the section `tune` where KerasTuner is missing.

    Raises:
      RestemError: with the command that installs it.
    """
    check_packages(
        ("keras_tuner",),
        where="tune",
        remedy="pip install 'restem[tune]' installs it; or remove the section tune",
    )
