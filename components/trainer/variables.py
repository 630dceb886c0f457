"""The steps that train, and the environment variables that tell them where their checkpoints go.

The variables are not among the properties of a step: other checkpoints are no reason to train again.
"""

import json

from restem.errors import RestemError

# The steps, and how the names of the folders with their checkpoints begin.
CHECKPOINTS_OF = {"Pretrain": "pretrain", "Tuner": "tune", "Baseline": "baseline", "Trainer": "candidate"}
TRAINING_STEPS = tuple(CHECKPOINTS_OF)
# Decoded images are kept in memory up to this; a training on more reads them from a copy on the disk.
CACHE_BYTES = 2 * 2**30
CHECKPOINT_FOLDER = "RESTEM_CHECKPOINT_FOLDER"
CHECKPOINT_SECONDS = "RESTEM_CHECKPOINT_SECONDS"
# TensorFlow's own variable: the workers that train together, and which one this process is.
TF_CONFIG = "TF_CONFIG"
# The exit code of a worker that stops because another one did. Kubeflow's training operator restarts a worker that ends
# with a code above 127 (restartPolicy: ExitCode), and leaves 138 to the program.
LOST_WORKER = 138


def checkpoint_variables(folder: str, seconds: float) -> dict[str, str]:
    """The variables for checkpoints in a folder, with at least so many seconds between two of them."""
    return {CHECKPOINT_FOLDER: folder, CHECKPOINT_SECONDS: f"{seconds:g}"}


def named_workers(text: str) -> tuple[int, int]:
    """The number of workers that TF_CONFIG names, and the number of this one; 1 and 0 if it names none."""
    if not text:
        return 1, 0
    try:
        found = json.loads(text)
        workers = found.get("cluster", {}).get("worker", [])
        task = found.get("task", {"type": "worker", "index": 0})
        others = sorted(set(found.get("cluster", {})) - {"worker"})
        fits = not others and task["type"] == "worker" and 0 <= int(task["index"]) < max(len(workers), 1)
    except (ValueError, TypeError, KeyError, AttributeError):
        fits = False
    if not fits:
        raise RestemError(
            "the workers cannot be read",
            where=TF_CONFIG,
            expected='{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, with no '
            "other kinds of tasks",
            given=text if len(text) <= 200 else f"{text[:200]}...",
            remedy=f"Kubeflow's training operator sets it; to train on this machine alone, unset {TF_CONFIG}",
        )
    return max(len(workers), 1), int(task["index"])
