"""The search space: between the configuration's keys with their values, and KerasTuner's hyperparameters."""

import json
from collections.abc import Mapping
from typing import Any

import keras_tuner

from restem.tuner.config import Axis, Value
from restem.tuner.keys import kind

DIGITS = 3  # significant ones of a value from a range: what the tables show is what was trained with


class Space:
    """The tuned keys with their values."""

    def __init__(self, over: Mapping[str, Axis]) -> None:
        """Args: over: `tune.over`, whose keys exist and whose values the configuration allows."""
        self._over = over
        self._kinds = {name: kind(name) for name in over}
        # KerasTuner's choices have one type, and neither null nor true: others are named by their JSON text.
        self._choices = {
            name: dict(zip(_labels(choices), choices, strict=True))
            for name, axis in over.items()
            if (choices := self._typed(name, axis)) is not None
        }

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """As KerasTuner's oracles take it."""
        space = keras_tuner.HyperParameters()
        for name, axis in self._over.items():
            if name in self._choices:
                space.Choice(name, list(self._choices[name]))
            else:
                make = space.Int if self._kinds[name] == "int" else space.Float
                make(name, min_value=axis.min, max_value=axis.max, sampling=axis.scale)
        return space

    def values(self, proposed: Mapping[str, Any]) -> dict[str, Value]:
        """The values by key of a proposal."""
        chosen = {name: choices[proposed[name]] for name, choices in self._choices.items()}
        return {name: chosen.get(name, proposed[name]) for name in self._over}

    def rounded(self, proposed: Mapping[str, Any]) -> dict[str, Any]:
        """A proposal with values of three digits, inside their ranges."""
        ranges = {name: self._rounded(name, value) for name, value in proposed.items() if name not in self._choices}
        return {**proposed, **ranges}

    def proposal(self, values: Mapping[str, Value]) -> dict[str, Any] | None:
        """The inverse of `values`; None if one of the values is outside of the space."""
        found = {}
        for name, axis in self._over.items():
            value = values[name]
            if name in self._choices:
                labels = [label for label, choice in self._choices[name].items() if choice == value]
                if not labels:
                    return None
                found[name] = labels[0]
            elif isinstance(value, int | float) and axis.min <= value <= axis.max:  # type: ignore[operator]
                found[name] = value
            else:
                return None
        return found

    def _typed(self, name: str, axis: Axis) -> list[Value] | None:
        if axis.choices is None or self._kinds[name] != "float":
            return None if axis.choices is None else list(axis.choices)
        return [float(value) if type(value) is int else value for value in axis.choices]

    def _rounded(self, name: str, value: float) -> float:
        axis = self._over[name]
        assert axis.min is not None
        assert axis.max is not None
        whole = self._kinds[name] == "int"
        # With scale: log, KerasTuner's integers may be one above the largest.
        inside = min(max(value if whole else float(f"{value:.{DIGITS}g}"), axis.min), axis.max)
        return int(inside) if whole else float(inside)


def _labels(choices: list[Value]) -> list[Any]:
    kinds = {type(value) for value in choices}
    if len(kinds) == 1 and kinds <= {int, float, str}:
        return list(choices)
    return [json.dumps(value) for value in choices]
