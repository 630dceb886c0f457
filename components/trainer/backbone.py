"""`backbone.keras`: the trained network without its head, for people who go on with it elsewhere.

It takes raw pixels, because its preprocessing is inside. Keras reads it with or without this library; with it, the
network keeps the report of its stem, and its stem can be changed again.
"""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np

from restem.stem.anatomy import RESCALE
from restem.stem.saved import StemModel
from restem.trainer.network import Network

BACKBONE = "backbone.keras"
TRAINED = "The weights have been trained since this report was made."
# Two files of the same weights are the same, byte for byte: Keras writes the time into the archive.
METADATA, SAVED_AT, EPOCH = "metadata.json", "date_saved", (1980, 1, 1, 0, 0, 0)


def write_backbone(folder: Path, network: Network, white: int) -> Path | None:
    """Writes the network up to its features as `backbone.keras`; returns the file, or None if it has no such part.

    Args:
      folder: exists.
      network: its `features` are those of the file on the same pixels, up to rounding.
      white: the largest value of its pixels.
    """
    backbone = next((layer for layer in network.features.layers if isinstance(layer, StemModel)), None)
    if backbone is None:
        return None
    fronts = [layer for layer in network.layers() if layer.name == "match_statistics"]
    model = _with_front(backbone, fronts[0] if fronts else None, float(white))
    path = folder / BACKBONE
    model.save(path)
    _without_time(path)
    return path


def _with_front(backbone: StemModel, front: keras.layers.Rescaling | None, white: float) -> StemModel:
    """A copy that says of itself that it was trained, with the layer in front folded into its own rescaling."""
    config = backbone.get_config()
    about = json.loads(backbone.about) if backbone.about else None
    if front is not None:
        inner = backbone.get_layer(RESCALE)
        scale = np.asarray(inner.scale, np.float64) * np.asarray(front.scale, np.float64)
        offset = np.asarray(inner.scale, np.float64) * np.asarray(front.offset, np.float64) + np.asarray(inner.offset)
        for layer in config["layers"]:
            if layer["name"] == RESCALE:
                # Arrays of the layer's dtype, as in restem.stem.rebuild; the configuration has them in Keras's form.
                for key, value in (("scale", scale), ("offset", offset)):
                    layer["config"][key] = keras.saving.serialize_keras_object(np.asarray(value, inner.compute_dtype))
        if about:
            taken = {"scale": scale.tolist(), "offset": offset.tolist(), "value_range": [0.0, white]}
            about["report"]["input"] |= taken
            about["spec"] |= {"value_range": [0.0, white]}
    copy = StemModel.from_config(config)
    copy.set_weights(backbone.get_weights())
    if about:
        copy.about = json.dumps({**about, "trained": TRAINED})
    return copy


def _without_time(path: Path) -> None:
    rewritten = path.with_suffix(".tmp")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(rewritten, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == METADATA:
                content = json.dumps({**json.loads(content), SAVED_AT: None}).encode()
            new.writestr(zipfile.ZipInfo(entry.filename, EPOCH), content)
    rewritten.replace(path)
