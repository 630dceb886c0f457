"""Writes a modified network so that plain Keras, without this library, reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .errors import StemError

if TYPE_CHECKING:
    import keras

ENDINGS = (".keras", ".weights.h5")


def check_ending(path: str | Path) -> Path:
    """The path, if its ending is one of ENDINGS. Raises StemError otherwise."""
    path = Path(path)
    if not path.name.endswith(ENDINGS):
        raise StemError(f"{str(path)!r}: a modified network is written as {' or '.join(ENDINGS)}.")
    return path


def save_network(model: keras.Model, path: str | Path) -> tuple[Path, ...]:
    """Writes `.keras` (everything), or `.weights.h5` with the architecture beside it as `.json`.

    The second pair is read with `keras.models.model_from_json(text)` and `load_weights`.

    Returns:
        The files written.
    """
    path = check_ending(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".keras":
        model.save(path)
        return (path,)
    model.save_weights(path)
    architecture = path.with_name(path.name.removesuffix(".weights.h5") + ".json")
    architecture.write_text(model.to_json(), encoding="utf-8")
    return path, architecture
