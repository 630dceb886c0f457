"""The tasks of worker processes: each function is called with a JSON request in a separate process (see worker.py)."""

import contextlib
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path


def run_pipeline(request: dict, emit: Callable[[dict], None]) -> dict:
    """Runs the whole pipeline: `request` has `config` (JSON text), `root` and `recompute`. Returns the summary."""
    outputs = _run("create_pipeline", request, emit)

    from restem.pipeline.config import config_from_json
    from restem.pipeline.local.clean import clean_after_run
    from restem.pipeline.local.folder import RunFolder
    from restem.pipeline.local.summary import summarise

    summary = summarise(outputs)
    cleaned = clean_after_run(config_from_json(request["config"]), RunFolder(Path(request["root"])))
    return summary if cleaned is None else {**summary, "cleaned": cleaned.to_dict()}


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
    with _importing():
        from absl import logging

        logging.set_verbosity(logging.INFO)
        # TFX before TensorFlow: ml-metadata must load its C++ library first
        import restem.pipeline.pipeline as pipelines
        from restem.pipeline.config import config_from_json
        from restem.pipeline.local.folder import RunFolder, prepare, training_environment
        from restem.pipeline.local.jobs import watched_jobs
        from restem.pipeline.local.runner import LocalRunner
        from restem.pipeline.local.summary import read_outputs

    folder = RunFolder(Path(request["root"]))
    config = prepare(config_from_json(request["config"]), folder)
    os.environ.update(training_environment(config, folder))

    def on_step(step: str, state: str, seconds: float) -> None:
        if state == "done":
            folder.trained(step)  # the checkpoints of one training take several times the size of its network
        emit({"event": "step", "step": step, "state": state, "seconds": seconds})

    runner = LocalRunner(on_step, recompute=request.get("recompute", False))
    pipeline = getattr(pipelines, create)(config, root=str(folder.root))
    with watched_jobs(config.beam, emit):
        runner.run(pipeline)
    shutil.rmtree(folder.checkpoints, ignore_errors=True)  # every training has ended, and its results are recorded
    return read_outputs(pipeline.metadata_connection_config, runner.executions)


@contextlib.contextmanager
def _importing() -> Iterator[None]:
    """Without garbage collection: imports make 700,000 objects that stay, which each collection would look through."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # later collections leave them out too
        gc.enable()


def predict(request: dict, emit: Callable[[dict], None]) -> list[dict] | dict[str, int]:
    """Classifies files with a pushed model; see `restem.pipeline.local.prediction.predict`."""
    from restem.pipeline.local.prediction import import_less, predict

    import_less()
    return predict(request, emit)


def convert(request: dict, emit: Callable[[dict], None]) -> dict:
    """Converts a pushed model: `request` has `model`, `kind`, `out`, `int8` and `images`. Returns a Converted."""
    from restem.convert.convert import convert

    done = convert(request["model"], request["kind"], request["out"], int8=request["int8"], images=request["images"])
    return asdict(done)
