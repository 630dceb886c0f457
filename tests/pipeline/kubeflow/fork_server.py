"""Imports TensorFlow and TFX once, then forks a process for each command on standard input: see containers.py.

Each line of standard input is a JSON object: `module`, whose `main` runs, `arguments`, `folder`, the current folder,
`log`, a file, and `environment`. Two lines of standard output answer it: the process's id when it has started, and its
exit code when it has ended, negative for a signal.
"""

import gc
import importlib
import json
import os
import sys
import tempfile
import traceback


def main() -> None:
    for module in ("entrypoint", "fingerprints"):
        importlib.import_module(f"restem.pipeline.kubeflow.container.{module}")
    sys.modules["restem.pipeline.kubeflow.container.entrypoint"].log_to_stderr()
    # What the steps import when they run.
    for module in (
        "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor",
        "tfx.orchestration.kubeflow.v2.file_based_example_gen.driver",
        "restem.pipeline.pipeline",
    ):
        importlib.import_module(module)
    gc.freeze()  # else the first collection of each process copies the memory of all these objects
    tempfile.tempdir = None  # each process has its own TMPDIR
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # standard output belongs to the answers
    for line in sys.stdin:
        call = json.loads(line)
        process = os.fork()
        if process == 0:
            answers.close()
            run(call)
        print(process, file=answers, flush=True)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        print(code, file=answers, flush=True)


def run(call: dict) -> None:
    """Runs the module in this process, which then ends."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(call["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.argv = [call["module"], *call["arguments"]]
    code = 1
    try:
        sys.modules[call["module"]].main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
