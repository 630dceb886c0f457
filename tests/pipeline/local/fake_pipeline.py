"""A pipeline of two very fast steps, for tests of the runner and the worker."""

import os
import shutil
import time
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.types.standard_artifacts import Examples, Model

from restem.errors import RestemError

CONFIG = {"name": "fake", "data": {"path": "/images"}, "image": {"size": 8}}


@component
def Make(examples: OutputArtifact[Examples], text: Parameter[str]) -> None:
    """Writes a text."""
    with open(os.path.join(examples.uri, "text"), "w", encoding="utf-8") as file:
        file.write(text)


@component
def Use(examples: InputArtifact[Examples], model: OutputArtifact[Model], behaviour: Parameter[str]) -> None:
    """Reads the text, or fails if `behaviour` is "fixable"."""
    if behaviour == "fixable":
        try:
            raise RestemError("the label is missing", where="a/b.png", remedy="Add it")
        except RestemError as error:
            raise RuntimeError("wrapped by a library") from error
    with open(os.path.join(examples.uri, "text"), encoding="utf-8") as file:
        text = file.read()
    with open(os.path.join(model.uri, "text"), "w", encoding="utf-8") as file:
        file.write(text.upper())


def create_pipeline(root: str, text: str, behaviour: str) -> Pipeline:
    """Make, then Use."""
    make = Make(text=text)
    use = Use(examples=make.outputs["examples"], behaviour=behaviour)
    return Pipeline(
        "fake",
        pipeline_root=os.path.join(root, "pipeline"),
        components=[make, use],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(os.path.join(root, "metadata.sqlite")),
    )


def run(request: dict, emit) -> dict:
    """A task for run_worker: `request` has `root` and `runs`, pairs of text and behaviour.

    Before a run with the behaviour "move" or "copy" the root gets another name, before one with "lose" the results of
    Use are removed, before one with "clean" all results but those of the run before, and before one with "flip" a byte
    of the last result of Make changes; Use then behaves as in other runs. After "flip" the refusal is emitted, and a
    run with the behaviour "recompute" computes damaged results again.
    """
    from restem.pipeline.config import Config
    from restem.pipeline.local.clean import clean
    from restem.pipeline.local.folder import RunFolder
    from restem.pipeline.local.runner import LocalRunner
    from restem.pipeline.local.summary import read_outputs

    root = request["root"]
    for text, behaviour in request["runs"]:
        if behaviour == "move":
            root = os.rename(root, f"{root}-moved") or f"{root}-moved"
        elif behaviour == "copy":
            root = shutil.copytree(root, f"{root}-copied")
        elif behaviour == "lose":
            shutil.rmtree(os.path.join(root, "pipeline", "Use", "model"))
        elif behaviour == "clean":
            retained = Config.model_validate({**CONFIG, "retention": {"runs": 1}})
            clean(retained, RunFolder(Path(root)), now=time.time())
        elif behaviour == "flip":
            folder = os.path.join(root, "pipeline", "Make", "examples")
            with open(os.path.join(folder, max(os.listdir(folder), key=int), "text"), "w", encoding="utf-8") as file:
                file.write("c")
        runner = LocalRunner(
            lambda step, state, s: emit({"event": "step", "step": step, "state": state, "seconds": s}),
            recompute=behaviour == "recompute",
        )
        pipeline = create_pipeline(root, text, behaviour if behaviour == "fixable" else "")
        try:
            runner.run(pipeline)
        except RestemError as refusal:
            if behaviour != "flip":
                raise
            emit({"event": "refused", "message": str(refusal)})
            continue
        outputs = read_outputs(pipeline.metadata_connection_config, runner.executions)
    return {step: {key: artifacts[0].uri for key, artifacts in keys.items()} for step, keys in outputs.items()}
