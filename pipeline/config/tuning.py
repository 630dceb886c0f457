"""Checks the section `tune` against the sections whose keys it tunes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from restem.pipeline.config.errors import Problem, explain
from restem.pipeline.config.sections import Config
from restem.pipeline.config.yaml_source import KeyPath
from restem.trainer.config import PHASES
from restem.trainer.tuned import set_values
from restem.tuner.config import Axis, TuneConfig
from restem.tuner.keys import kind, why_not


def tuning_problems(config: Config) -> list[Problem]:
    """The problems of a valid configuration's section `tune`; none without that section.

    A value is rejected if the configuration would reject it at the tuned key, and with the same explanation.
    """
    return [] if config.tune is None else list(_problems(config, config.tune))


def _problems(config: Config, tune: TuneConfig) -> Iterator[Problem]:
    phases = {name: getattr(config.train, name).epochs for name in PHASES}
    if config.model.continues:
        what = "a training that goes on from a pushed model is not tuned: its stem and its head are given"
        remedy = "Tune once with model.weights: imagenet, and write the chosen values into the configuration"
        yield Problem(("tune",), what, given=f"model.weights: {config.model.weights}", remedy=remedy)
    if not any(phases.values()) and not any(f"train.{name}.epochs" in tune.over for name in PHASES):
        yield Problem(("tune",), "nothing is trained", "a phase with epochs", "train.*.epochs: 0 for all phases")
    if not tune.over:
        yield Problem(("tune", "over"), "there is nothing to tune", "keys of train or stem, each with its values", "{}")
    for name, axis in tune.over.items():
        key: KeyPath = ("tune", "over", name)
        found = _problem(config, key, name, axis)
        phase = name.split(".")[1] if name.startswith("train.") else ""
        epochs = f"train.{phase}.epochs"
        if found:
            yield found
        elif phases.get(phase) == 0 and epochs not in tune.over:
            remedy = f"Set {epochs}, or remove this key"
            yield Problem(key, "the key has no effect: its phase is skipped", given=f"{epochs}: 0", remedy=remedy)
        elif name.startswith("train.optimizer_options.") and "train.optimizer" in tune.over:
            what = "an optimizer's options cannot be tuned together with the optimizer: each has options of its own"
            yield Problem(key, what, remedy="Remove one of the two keys")
        elif name == epochs and tune.epochs is not None:
            remedy = "Remove tune.epochs, or this key"
            yield Problem(key, "tune.epochs would change what is tuned here", given=str(tune.epochs), remedy=remedy)


def _problem(config: Config, key: KeyPath, name: str, axis: Axis) -> Problem | None:
    data = config.model_dump(mode="json")
    for place, value in axis.extremes():
        refused = _refused(data, name, value)
        if refused is not None and refused.what == "unknown key":
            return replace(refused, key=key)
        reason = why_not(name)
        if reason is not None:
            return Problem(key, f"this key cannot be tuned: {reason}")
        if refused is not None:
            return replace(refused, key=(*key, *place))
        if place[0] != "choices" and kind(name) == "other":
            return Problem(key, "the key's values have no order", "choices", "min and max")
    return None


def _refused(data: dict[str, Any], name: str, value: Any) -> Problem | None:
    """Why the configuration rejects a value; None if it accepts it."""
    try:
        changed = set_values(data, {name: value})
    except (KeyError, TypeError):
        return Problem((), "unknown key", "a key such as train.all.learning_rate", name)
    try:
        Config.model_validate_json(json.dumps(changed), strict=True)
    except ValidationError as error:
        return explain(error, changed, Config)[0]
    return None
