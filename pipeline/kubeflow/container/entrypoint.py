"""The entrypoint of every step's container: adapts the call of Kubeflow's launcher to TFX's executor, and its answer.

    python -m restem.pipeline.kubeflow.container.entrypoint --json_serialized_invocation_args '{{$}}' ...

TFX's own container entrypoint is for another server. A comment at each repair below explains the failure without it. A
test for each repair (test_entrypoint.py) reproduces the failure, and fails when TFX or Kubeflow no longer needs it.
"""

import argparse
import contextlib
import json
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from restem.pipeline.config.beam import BUCKET, RUNNERS
from restem.pipeline.environment import TENSORFLOW_VARIABLES
from restem.pipeline.kubeflow.container.training_job import TRAINING_JOB, run_training_job
from restem.visible import use_for_logs

# The folders that Kubeflow's launcher downloads to and uploads from.
LAUNCHER_FOLDERS = {"minio://": "/minio/", "s3://": "/s3/", "gs://": "/gcs/"}
CALL, INPUTS_SPEC = "--json_serialized_invocation_args", "--json_serialized_inputs_spec_args"

# A parameter only for the server's cache; executors do not know it: see fingerprints.py.
FINGERPRINT = "fingerprint"
DATAFLOW = f"--runner={RUNNERS['dataflow']}"

Artifact = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one step. If it fails, the exit code is 1 and the last line of the log is the reason."""
    for name, value in TENSORFLOW_VARIABLES.items():
        os.environ.setdefault(name, value)
    log_to_stderr()
    options, beam_arguments = _parse(argv)
    with ending():
        run_step(options, beam_arguments)


def log_to_stderr() -> None:
    """Shows messages in the container's log."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname).1s %(name)s: %(message)s"
    )
    use_for_logs()


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """Runs its body and ends the process: with 0, or with 1 and the reason as the last line of the log."""
    code = 0
    try:
        yield
    except Exception as error:
        from restem.pipeline.errors import explain_failure

        traceback.print_exc()
        print(f"restem: {explain_failure(error)[0]}", file=sys.stderr, flush=True)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # gRPC and Beam may still have threads; all results are on disk


def _parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="restem.pipeline.kubeflow.container.entrypoint", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--executor_class_path", required=True, help="The step's executor, as module.class.")
    parser.add_argument(CALL, required=True, help="The launcher's ExecutorInput as JSON.")
    parser.add_argument(INPUTS_SPEC, help="The step's inputs as the pipeline's specification declares them, as JSON.")
    return parser.parse_known_args(argv)


def run_step(options: argparse.Namespace, beam_arguments: list[str]) -> None:
    """Repairs the call, runs TFX's driver and executor, here or on several workers, and repairs their answer.

    Args:
        options: the arguments of TFX's own entrypoint: `executor_class_path` and the two JSON texts.
        beam_arguments: for Beam.
    """
    call = json.loads(options.json_serialized_invocation_args)
    declared = json.loads(options.json_serialized_inputs_spec_args or "{}").get("artifacts", {})
    # Dataflow's workers cannot read this container's folders: if a step runs on them, files in gs:// stay there.
    in_place = BUCKET if DATAFLOW in beam_arguments and runs_on_beam(options.executor_class_path) else None
    call, remote = repair_call(call, declared, in_place=in_place)
    if plan := os.environ.get(TRAINING_JOB):
        inputs_spec = options.json_serialized_inputs_spec_args or "{}"
        arguments = ["--executor_class_path", options.executor_class_path, INPUTS_SPEC, inputs_spec, *beam_arguments]
        run_training_job(json.loads(plan), call, arguments)
    else:
        execute(options, call, beam_arguments)
    answer = Path(call["outputs"]["outputFile"])
    repaired = repair_answer(json.loads(answer.read_text(encoding="utf-8")), remote)
    answer.write_text(json.dumps(repaired), encoding="utf-8")


def execute(options: argparse.Namespace, call: dict[str, Any], beam_arguments: list[str]) -> None:
    """Runs TFX's driver and executor; they write their answer to the file that the call names.

    Args:
        options: as for `run_step`.
        call: the repaired ExecutorInput.
        beam_arguments: for Beam.
    """
    options.json_serialized_invocation_args = json.dumps(call)

    from tfx.dsl.io import fileio
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    for _, artifact in _artifacts(call["outputs"]):
        # The launcher creates only the parent of an output's folder; executors need the folder itself, as in TFX.
        fileio.makedirs(artifact["uri"])
    register_artifact_types()
    if "input_config" in call.get("inputs", {}).get("parameterValues", {}):
        # The server ignores the hook in which TFX's driver resolves spans and versions of the input.
        from tfx.orchestration.kubeflow.v2.file_based_example_gen import driver

        driver.main(options)
    kubeflow_v2_run_executor.main((options, beam_arguments))


def runs_on_beam(executor_class_path: str) -> bool:
    """Whether a step's executor uses Beam."""
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.utils import import_utils

    return issubclass(import_utils.import_class_by_path(executor_class_path), BaseBeamExecutor)


def repair_call(
    call: dict[str, Any], declared: dict[str, Any], *, in_place: str | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Converts the launcher's ExecutorInput to the form that TFX expects.

    Args:
        call: the launcher's ExecutorInput.
        declared: the step's input artifacts in the pipeline's specification, by key.
        in_place: addresses with this prefix are read and written directly. The launcher then finds nothing to upload,
            which it accepts.

    Returns:
        The repaired call, and the artifacts' remote URIs by local path.
    """
    inputs, outputs = call.get("inputs", {}), call.get("outputs", {})
    for key, artifact in _artifacts(inputs):
        # The server removes the type of an input; TFX needs it to create the Python object.
        if not (artifact.get("type") or {}).get("instanceSchema") and key in declared:
            artifact["type"] = declared[key]["artifactType"]
    # The server adds its own output for the log, with a type that TFX cannot import.
    outputs["artifacts"] = {
        key: entry
        for key, entry in outputs.get("artifacts", {}).items()
        if (entry["artifacts"][0].get("type") or {}).get("schemaTitle") != "system.Artifact"
    }
    remote = {}
    for _, artifact in _artifacts(inputs) + _artifacts(outputs):
        path = artifact["uri"] if in_place and artifact["uri"].startswith(in_place) else local_path(artifact)
        remote[path] = artifact["uri"]
        # TensorFlow reads neither minio:// nor s3://; the launcher copies the files to and from these folders.
        artifact["uri"] = path
    parameters = inputs.get("parameterValues", {})
    parameters.pop(FINGERPRINT, None)
    if "input_base" in parameters:
        from restem.example_gen.embedded import write_embedded

        parameters["input_base"] = write_embedded(parameters["input_base"], tempfile.mkdtemp(prefix="restem-"))
    return call, remote


def local_path(artifact: Artifact) -> str:
    """Where the launcher puts, or expects, an artifact's files."""
    if artifact.get("customPath"):
        return artifact["customPath"]
    for scheme, folder in LAUNCHER_FOLDERS.items():
        if artifact["uri"].startswith(scheme):
            return folder + artifact["uri"].removeprefix(scheme)
    return artifact["uri"]


def repair_answer(answer: dict[str, Any], remote: dict[str, str]) -> dict[str, Any]:
    """Converts TFX's ExecutorOutput to the form that the server accepts.

    Args:
        answer: the output of TFX's executor.
        remote: the artifacts' remote URIs by local path.
    """
    for _, artifact in _artifacts(answer):
        # A property without a value becomes null, which the server cannot store.
        metadata = {key: value for key, value in artifact.get("metadata", {}).items() if value is not None}
        # Later steps and users need addresses in the store, not paths in this container.
        artifact["metadata"] = {key: _to_remote(value, remote) for key, value in metadata.items()}
        artifact["uri"] = remote.get(artifact["uri"], artifact["uri"])
    return answer


def _to_remote(value: Any, remote: dict[str, str]) -> Any:
    if isinstance(value, str):
        for path, uri in remote.items():
            value = value.replace(path, uri)
    return value


def _artifacts(part: dict[str, Any]) -> list[tuple[str, Artifact]]:
    """The key and artifact of each artifact in the inputs, the outputs or the answer."""
    lists = part.get("artifacts", {}).items()
    return [(key, artifact) for key, entry in lists for artifact in entry.get("artifacts", [])]


def register_artifact_types() -> None:
    """Registers our artifact types, because TFX finds only the classes of its own types by their titles."""
    from tfx.orchestration.kubeflow.v2 import compiler_utils
    from tfx.utils import name_utils

    from restem.example_gen.artifacts import Quarantine
    from restem.pusher.artifacts import ReleaseNotes
    from restem.report.artifacts import HtmlReport

    for artifact in (Quarantine, HtmlReport, ReleaseNotes):
        compiler_utils.TITLE_TO_CLASS_PATH[artifact.TYPE_NAME] = name_utils.get_full_name(artifact)


if __name__ == "__main__":
    main()
