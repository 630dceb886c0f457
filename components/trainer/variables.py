"""The steps that train, and the environment variables that tell them where their checkpoints go.

The variables are not among the properties of a step: other checkpoints are no reason to train again.
"""

TRAINING_STEPS = ("Pretrain", "Baseline", "Trainer")
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
