"""The tasks of worker processes: each function is called with a JSON request in a separate process (see worker.py)."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path


def run_pipeline(request: dict, emit: Callable[[dict], None]) -> dict:
    """Runs the whole pipeline: `request` has `config` (JSON text) and `root`. Returns the summary."""
    outputs = _run("create_pipeline", request, emit)

    from restem.pipeline.local.summary import summarise

    return summarise(outputs)


def pretrain(request: dict, emit: Callable[[dict], None]) -> dict:
    """Trains a source checkpoint: `request` has `config`, `root` and `out` (a file). Returns the last epoch."""
    outputs = _run("create_pretrain_pipeline", request, emit)

    from tfx.utils import path_utils

    from restem.run_record import read_history
    from restem.trainer.pretrain import checkpoint_path

    checkpoint = checkpoint_path(path_utils.serving_model_dir(outputs["Pretrain"]["model"][0].uri))
    out = Path(request["out"])
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.copyfile(checkpoint, unfinished)
    unfinished.replace(out)
    return asdict(read_history(outputs["Pretrain"]["model_run"][0].uri)[-1])


def compile_pipeline(request: dict, emit: Callable[[dict], None]) -> str:
    """Compiles the pipeline to YAML for Kubeflow: `request` has `config` (JSON text)."""
    from restem.pipeline.config import config_from_json
    from restem.pipeline.kubeflow.compiler.compile import compile_pipeline

    return compile_pipeline(config_from_json(request["config"]))


def write_report(request: dict, emit: Callable[[dict], None]) -> None:
    """Writes the report of a past run: `request` has `title`, `uris` (the step's inputs by key) and `out` (a file)."""
    import restem.pipeline.pipeline  # noqa: F401 - TFX before TensorFlow: see _run
    from restem.report.component import data_of
    from restem.report.page import render

    Path(request["out"]).write_text(render(data_of(request["title"], request["uris"])), encoding="utf-8")


def seconds_per_image(request: dict, emit: Callable[[dict], None]) -> list[float]:
    """How fast this machine trains: `request` has `backbone` and `sizes`, a list of [height, width]."""
    from restem.trainer.speed import seconds_per_image

    return seconds_per_image(request["backbone"], [tuple(size) for size in request["sizes"]])


def _run(create: str, request: dict, emit: Callable[[dict], None]) -> dict:
    """Runs a pipeline of pipeline/pipeline.py; returns each step's output artifacts by key."""
    from absl import logging

    logging.set_verbosity(logging.INFO)
    import restem.pipeline.pipeline as pipelines  # TFX before TensorFlow: ml-metadata must load its C++ library first
    from restem.pipeline.config import config_from_json
    from restem.pipeline.local.folder import RunFolder, prepare, training_environment
    from restem.pipeline.local.runner import LocalRunner
    from restem.pipeline.local.summary import read_outputs

    folder = RunFolder(Path(request["root"]))
    config = prepare(config_from_json(request["config"]), folder)
    os.environ.update(training_environment(config, folder))
    runner = LocalRunner(lambda step, state, s: emit({"event": "step", "step": step, "state": state, "seconds": s}))
    pipeline = getattr(pipelines, create)(config, root=str(folder.root))
    runner.run(pipeline)
    shutil.rmtree(folder.checkpoints, ignore_errors=True)  # every training has ended, and its results are recorded
    return read_outputs(pipeline.metadata_connection_config, runner.executions)


def predict(request: dict, emit: Callable[[dict], None]) -> list[dict]:
    """Classifies images with a pushed model: `request` has `model` (a folder), `images` (files) and `batch_size`.

    Returns one object per image: `path`, `label`, and `scores` (class name to probability, the most probable classes,
    sorted); or `path` and `error` for a file that the model cannot read.
    """
    import tensorflow as tf

    from restem.images import dicom_reading, encode_for_serving
    from restem.images.header import UnreadableImage

    try:
        dicom = dicom_reading(request["model"])
    except (OSError, ValueError, KeyError):  # The folder holds a SavedModel of another program: no DICOM files then.
        dicom = None
    serve = tf.saved_model.load(request["model"]).signatures["serving_default"]

    def classify(paths: list[str]) -> list[dict]:
        answer = serve(image_bytes=tf.constant([encode_for_serving(path, dicom) for path in paths]))
        rows = zip(paths, answer["label"].numpy(), answer["labels"].numpy(), answer["scores"].numpy(), strict=True)
        return [
            {
                "path": path,
                "label": label.decode(),
                "scores": {name.decode(): float(score) for name, score in zip(labels, scores, strict=True)},
            }
            for path, label, labels, scores in rows
        ]

    results = []
    for start in range(0, len(request["images"]), request["batch_size"]):
        paths = request["images"][start : start + request["batch_size"]]
        try:
            results += classify(paths)
        except (tf.errors.OpError, OSError, UnreadableImage):
            # One bad file makes the whole batch fail: classify its files one by one.
            for path in paths:
                try:
                    results += classify([path])
                except (tf.errors.OpError, OSError, UnreadableImage) as error:
                    results.append({"path": path, "error": why_unreadable(path, error)})
    return results


def convert(request: dict, emit: Callable[[dict], None]) -> dict:
    """Converts a pushed model: `request` has `model`, `kind`, `out`, `int8` and `images`. Returns a Converted."""
    from restem.convert.convert import convert

    done = convert(request["model"], request["kind"], request["out"], int8=request["int8"], images=request["images"])
    return asdict(done)


def why_unreadable(path: str, error: Exception) -> str:
    """Why the model could not read a file, as a sentence about its header, the model's own check, or its data.

    Args:
        path: the file.
        error: the exception from TensorFlow or from opening the file.
    """
    from restem.images.formats.pillow import explain_failure
    from restem.images.header import UnreadableImage
    from restem.images.probe import probe

    if isinstance(error, UnreadableImage):
        return str(error)
    try:
        data = Path(path).read_bytes()
        header = probe(data, max_pixels=sys.maxsize, max_bytes=sys.maxsize)
    except UnreadableImage as reason:
        return str(reason)
    except OSError as reason:
        return f"The file cannot be read: {reason.strerror}."
    checked = re.search(r"assertion failed: \[(.*?)\]\s*$", str(error), re.MULTILINE)
    return checked[1] if checked else explain_failure(data, header.format)
