"""Values for single keys of the configuration, such as those that the Tuner step found."""

import copy
from collections.abc import Mapping
from typing import Any

from restem.trainer.model_config import Role

# Where the Tuner's best_hyperparameters have the values as the configuration writes them.
TUNED = "tuned"


def set_values(sections: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the sections with some values set.

    Args:
      sections: by name, as dicts.
      values: by the key's path, such as "train.all.learning_rate".

    Raises:
      KeyError: what is above the key is not a section.
    """
    changed = copy.deepcopy(dict(sections))
    for key, value in values.items():
        *above, last = key.split(".")
        place: Any = changed
        for part in above:
            place = place[part]
        if not isinstance(place, dict):
            raise KeyError(key)
        place[last] = value
    return changed


def with_tuned_values(custom: Mapping[str, Any], hyperparameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """A Trainer's `custom_config` with the Tuner's values, in the sections and in the record of the configuration.

    The baseline is trained as the candidate is, but its stem is the stock one.

    Args:
      custom: as `training_parameters` makes it.
      hyperparameters: the content of the Tuner's best_hyperparameters; None: there was no Tuner.
    """
    if hyperparameters is None:
        return dict(custom)
    role: Role = custom["role"]
    tuned = hyperparameters[TUNED]
    values = {key: value for key, value in tuned.items() if role == "candidate" or not key.startswith("stem.")}
    changed = set_values(custom, values)
    changed["config"] = set_values(custom["config"], values)
    return changed
