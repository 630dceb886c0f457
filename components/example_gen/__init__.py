"""From a folder of images to raw examples: every file becomes an example or goes to quarantine with its reason.

`config`, `folder` and `embedded` import neither TensorFlow nor TFX: the command line uses them before anything heavy.
"""

from restem.example_gen.config import DataConfig

__all__ = ["DataConfig"]
