"""The schemas of the data and the configuration."""

from importlib.resources import files


def raw_examples() -> str:
    """The schema of raw examples, without the class names, as a tensorflow_metadata Schema in text format."""
    return files(__name__).joinpath("raw_examples.pbtxt").read_text(encoding="utf-8")
