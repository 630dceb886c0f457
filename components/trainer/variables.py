"""The steps that train, and the environment variables that tell them where their checkpoints go.

The variables are not among the properties of a step: other checkpoints are no reason to train again.
"""

TRAINING_STEPS = ("Pretrain", "Tuner", "Baseline", "Trainer")
CHECKPOINT_FOLDER = "RESTEM_CHECKPOINT_FOLDER"
CHECKPOINT_SECONDS = "RESTEM_CHECKPOINT_SECONDS"


def checkpoint_variables(folder: str, seconds: float) -> dict[str, str]:
    """The variables for checkpoints in a folder, with at least so many seconds between two of them."""
    return {CHECKPOINT_FOLDER: folder, CHECKPOINT_SECONDS: f"{seconds:g}"}
