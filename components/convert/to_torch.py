"""Writes a .keras file as PyTorch's ExportedProgram (.pt2): python -m restem.convert.to_torch FILE.keras FILE.pt2.

A process of its own, because Keras's exporter needs the backend torch, which is chosen when Keras is imported.
"""

import os
import sys


def main(source: str, target: str) -> None:
    """Writes the program; it takes any number of images at a time."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch

    import restem.stem.saved  # noqa: F401 - registers the class of modified networks

    keras.config.set_image_data_format("channels_last")
    model = keras.saving.load_model(source, compile=False)
    (given,) = model.inputs
    signature = [keras.InputSpec(shape=(None, *given.shape[1:]), dtype="float32", name=given.name)]
    batch = {0: torch.export.Dim("batch", min=1)}
    with torch.device("cpu"), torch.no_grad():
        model.eval()
        model.export(target, format="torch", input_signature=signature, verbose=False, dynamic_shapes=batch)


if __name__ == "__main__":
    main(*sys.argv[1:])
