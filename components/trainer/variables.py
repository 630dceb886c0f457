"""The steps that train, and the environment variables that tell them where their checkpoints go.

The variables are not among the properties of a step: other checkpoints are no reason to train again.
"""

TRAINING_STEPS = ("Pretrain", "Baseline", "Trainer")
CHECKPOINT_FOLDER = "RESTEM_CHECKPOINT_FOLDER"
CHECKPOINT_SECONDS = "RESTEM_CHECKPOINT_SECONDS"
