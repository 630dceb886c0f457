"""The driver of a Trainer that goes on from a pushed model: makes the model that was found part of the cache key.

Kubeflow runs no drivers. There the executor looks for the model, and the cache uses a fingerprint of the folder
(pipeline/kubeflow/container/fingerprints.py).
"""

from typing import Any

from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx.utils import io_utils, json_utils

from restem.baseline.driver import FindingDriver, run_classes
from restem.start.choice import Start, choose_start

START = "start"


class Driver(FindingDriver):
    """Adds the property `start`, a Start as JSON."""

    PROPERTY = START

    def find(self, inputs: dict[str, list[Artifact]], properties: dict[str, Any]) -> Start:
        """See the function `find`."""
        return find(inputs, properties)


def find(inputs: dict[str, list[Artifact]], properties: dict[str, Any]) -> Start:
    """Finds the model for the step's inputs and properties, and logs it."""
    uri = artifact_utils.get_single_uri(inputs["examples"])
    start = choose_start(
        json_utils.loads(properties["custom_config"]),
        properties.get("destination"),
        run_classes(inputs),
        [io_utils.all_files_pattern(f"{uri}/Split-{split}") for split in ("train", "val", "test")],
        properties.get("verify_key"),
    )
    start.tell()
    return start
