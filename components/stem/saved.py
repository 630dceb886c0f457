"""Saves the specification and the report in the model's configuration.

`StemModel` is a Functional model with one more entry in its configuration. In a file it looks like any
Functional model: plain Keras, without this library, reads it as one and ignores the entry (checked with
Keras 3.15). If this module is imported, reading and writing keep the entry.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
from keras.src.models.functional import Functional

ENTRY = "restem"


@keras.saving.register_keras_serializable(package="restem", name="StemModel")
class StemModel(Functional):
    """A network with a modified stem. `about` is the JSON text of {"spec": ..., "report": ...}, or None."""

    about: str | None = None

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self.about is not None:
            config[ENTRY] = json.loads(self.about)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> StemModel:
        config = dict(config)
        about = config.pop(ENTRY, None)
        model = super().from_config(config, custom_objects)
        if about is not None:
            # Text, because Keras would wrap and track a dict as if it contained weights.
            model.about = json.dumps(about)
        return model

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle looks up classes by module and name, which here are those of Functional (see below).
        return keras.Model._unpickle_model, super().__reduce__()[1]


# The configuration names Functional as the class, so that Keras can build the model without this library.
# Weight files also name nested models by their class.
StemModel.__module__ = Functional.__module__
StemModel.__name__ = StemModel.__qualname__ = Functional.__name__


def describe(model: keras.Model | str | Path) -> dict[str, Any] | None:
    """{"spec": ..., "report": ...} of a modified network, or None for any other network.

    Args:
        model: a model (the modified network itself, or one that contains it), or the path of a .keras file
            (only its configuration is read).
    """
    if isinstance(model, (str, Path)):
        with zipfile.ZipFile(model) as archive:
            return _search(json.loads(archive.read("config.json")))
    if isinstance(model, StemModel):
        return json.loads(model.about) if model.about else None
    for layer in getattr(model, "layers", []):
        if isinstance(layer, keras.Model):
            found = describe(layer)
            if found:
                return found
    return None


def _search(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        if isinstance(value.get(ENTRY), dict) and "report" in value[ENTRY]:
            return value[ENTRY]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            found = _search(item)
            if found:
                return found
    return None
