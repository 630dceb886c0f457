"""Writes a modified network in formats that plain Keras reads without this library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .errors import StemError

if TYPE_CHECKING:
    import keras

ENDINGS = (".keras", ".weights.h5")


def check_ending(path: str | Path) -> Path:
    """Returns the path. Raises StemError if its ending is not one of ENDINGS."""
    path = Path(path)
    if not path.name.endswith(ENDINGS):
        raise StemError(f"Cannot write a network to {str(path)!r}: the name must end in {' or '.join(ENDINGS)}.")
    return path


def save_network(model: keras.Model, path: str | Path) -> tuple[Path, ...]:
    """Writes `.keras` (everything), or `.weights.h5` and the architecture next to it as `.json`.

    To read the pair, use `keras.models.model_from_json(text)` and `load_weights`.

    Returns:
        Paths of the written files.
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
