"""Settings that every test and benchmark process needs before TensorFlow is imported."""

import os

from restem.pipeline.environment import TENSORFLOW_VARIABLES

for _name, _value in TENSORFLOW_VARIABLES.items():
    os.environ.setdefault(_name, _value)
