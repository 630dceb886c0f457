"""From a folder of images to raw examples: every file becomes an example or is quarantined with the reason.

`config`, `layouts` and `embedded` import neither TensorFlow nor TFX, so that the command line starts quickly.
"""

from restem.example_gen.config import DataConfig

__all__ = ["DataConfig"]
