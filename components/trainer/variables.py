"""The environment variables that tell a training where its checkpoints go.

They are not among the properties of a step: other checkpoints are no reason to train again.
"""

CHECKPOINT_FOLDER = "RESTEM_CHECKPOINT_FOLDER"
CHECKPOINT_SECONDS = "RESTEM_CHECKPOINT_SECONDS"
