"""The formats: each is written by its own converter, and read by its own runtime."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import keras
import numpy as np

from restem.convert import ENDINGS
from restem.convert.torch_process import Program
from restem.errors import RestemError
from restem.installed import check_packages

Run = Callable[[np.ndarray], np.ndarray]  # pixels float32 [N, height, width, channels] to probabilities [N, classes]


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
      ending: of its files.
      write: writes a model; the images, each float32 [1, height, width, channels], are for 8-bit weights, or None.
      load: reads a file back.
      packages: the Python packages that it needs.
      install: the command that installs them.
    """

    ending: str
    write: Callable[[keras.Model, str, Iterable[np.ndarray] | None], None]
    load: Callable[[str], Run]
    packages: tuple[str, ...] = ()
    install: str = "pip install 'restem[export]'"


def check_installed(name: str) -> None:
    """Rejects a format whose packages are missing.

    Raises:
      RestemError: with the command that installs them.
    """
    form = FORMATS[name]
    check_packages(form.packages, where=f"--to {name}", remedy=f"{form.install} installs what this format needs")


def _signature(model: keras.Model, batch: int | None) -> list[keras.InputSpec]:
    (given,) = model.inputs
    return [keras.InputSpec(shape=(batch, *given.shape[1:]), dtype="float32", name=given.name)]


def _write_keras(model: keras.Model, path: str, images: Iterable[np.ndarray] | None) -> None:
    model.save(path)


def _load_keras(path: str) -> Run:
    import restem.stem.saved  # noqa: F401 - registers the class of modified networks

    model = keras.saving.load_model(path, compile=False)
    return lambda pixels: model.predict_on_batch(pixels)


def _write_onnx(model: keras.Model, path: str, images: Iterable[np.ndarray] | None) -> None:
    model.export(path, format="onnx", input_signature=_signature(model, None), verbose=False)


def _load_onnx(path: str) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda pixels: session.run(None, {given.name: pixels})[0]


def _write_tflite(model: keras.Model, path: str, images: Iterable[np.ndarray] | None) -> None:
    import tensorflow as tf

    options = {}
    if images is not None:
        options = {
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: ([one] for one in images),
            "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
        }
    # One image at a time, as on devices; TFLite's kernels are written for fixed shapes.
    model.export(path, format="litert", input_signature=_signature(model, 1), verbose=False, **options)


def _load_tflite(path: str) -> Run:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=path, num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(pixels: np.ndarray) -> np.ndarray:
        found = []
        for one in pixels:
            interpreter.set_tensor(given["index"], one[None])
            interpreter.invoke()
            found.append(interpreter.get_tensor(answer["index"])[0])
        return np.stack(found)

    return run


def _write_torch(model: keras.Model, path: str, images: Iterable[np.ndarray] | None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        saved = os.path.join(scratch, "model.keras")
        model.save(saved)
        command = [sys.executable, "-m", "restem.convert.to_torch", saved, path]
        environment = {**os.environ, "KERAS_BACKEND": "torch"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RestemError(
            "PyTorch could not write this model",
            where="--to torch",
            given=(done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:500],
            remedy="The other formats do not need PyTorch",
        )


FORMATS = {
    "keras": Format(ENDINGS["keras"], _write_keras, _load_keras),
    "onnx": Format(ENDINGS["onnx"], _write_onnx, _load_onnx, ("onnx", "onnxruntime", "tf2onnx")),
    "tflite": Format(ENDINGS["tflite"], _write_tflite, _load_tflite),
    "torch": Format(ENDINGS["torch"], _write_torch, Program, ("torch",), "pip install torch"),
}
