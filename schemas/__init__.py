"""What the data and the configuration must look like."""

from importlib.resources import files


def raw_examples() -> str:
    """The schema of raw examples without the class names: a tensorflow_metadata Schema as text."""
    return files(__name__).joinpath("raw_examples.pbtxt").read_text(encoding="utf-8")
