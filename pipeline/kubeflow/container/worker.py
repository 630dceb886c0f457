"""The process in a worker's pod: one of the processes that train a step together.

    python -m restem.pipeline.kubeflow.container.worker FOLDER

FOLDER has the step's call, as training_job.py wrote it. TF_CONFIG, from Kubeflow's training operator, says which worker
this is. Number 0 writes the step's outputs into FOLDER, the others into a folder that is thrown away.
"""

import json
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from restem.pipeline.environment import TENSORFLOW_VARIABLES
from restem.pipeline.kubeflow.container import entrypoint
from restem.pipeline.kubeflow.container.training_job import ANSWER_FILE, CALL_FILE
from restem.trainer.variables import TF_CONFIG


def main(folder: str) -> None:
    """Runs the step's executor, and ends the process with its exit code."""
    for name, value in TENSORFLOW_VARIABLES.items():
        os.environ.setdefault(name, value)
    entrypoint.log_to_stderr()
    code = run(folder)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the connection to workers that are gone would wait


def run(folder: str) -> int:
    """Runs the step's executor and returns the exit code.

    0: done; 1: an error, which the last line of the log explains; above 127: start this worker again.
    """
    try:
        shared = json.loads((Path(folder) / CALL_FILE).read_text(encoding="utf-8"))
        call = shared["call"]
        if index() == 0:
            shutil.rmtree(Path(folder) / "outputs", ignore_errors=True)  # of an attempt that was interrupted
        else:
            call = elsewhere(call, tempfile.mkdtemp(prefix="restem-"))
        options, beam_arguments = entrypoint._parse([*shared["arguments"], entrypoint.CALL, json.dumps(call)])
        entrypoint.execute(options, call, beam_arguments)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except BaseException as error:
        from restem.pipeline.errors import explain_failure

        traceback.print_exc()
        print(f"restem: {explain_failure(error)[0]}", file=sys.stderr, flush=True)
        return 1
    return 0


def index() -> int:
    """The number of this worker; 0 without TF_CONFIG."""
    return int(json.loads(os.environ.get(TF_CONFIG) or "{}").get("task", {}).get("index", 0))


def elsewhere(call: dict[str, Any], folder: str) -> dict[str, Any]:
    """The call with all outputs in another folder."""
    call = json.loads(json.dumps(call))
    for key, entry in call["outputs"].get("artifacts", {}).items():
        for artifact in entry["artifacts"]:
            artifact["uri"] = f"{folder}/outputs/{key}"
    call["outputs"]["outputFile"] = f"{folder}/{ANSWER_FILE}"
    return call


if __name__ == "__main__":
    main(sys.argv[1])
