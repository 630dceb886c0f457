"""The driver of a Trainer that goes on from a pushed model: makes the model that was found part of the cache key.

Kubeflow runs no drivers. There the executor looks for the model, and the cache uses a fingerprint of the folder
(pipeline/kubeflow/container/fingerprints.py).
"""

from typing import Any

from tfx.dsl.components.base import base_driver
from tfx.orchestration import metadata
from tfx.orchestration.portable import base_driver as portable_base_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx.utils import io_utils, json_utils

from restem.baseline.driver import run_classes
from restem.start.choice import Start, choose_start

START = "start"


class Driver(base_driver.BaseDriver, portable_base_driver.BaseDriver):
    """Adds the property `start`, a Start as JSON."""

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_base_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Looks for the model.

        Raises:
          RestemError: see `choose_start`.
        """
        start = find(execution_info.input_dict, execution_info.exec_properties)
        output = driver_output_pb2.DriverOutput()
        output.exec_properties[START].string_value = start.to_json()
        return output


def find(inputs: dict[str, list[Artifact]], properties: dict[str, Any]) -> Start:
    """Finds the model for the step's inputs and properties, and logs it."""
    uri = artifact_utils.get_single_uri(inputs["examples"])
    start = choose_start(
        json_utils.loads(properties["custom_config"]),
        properties.get("destination"),
        run_classes(inputs),
        [io_utils.all_files_pattern(f"{uri}/Split-{split}") for split in ("train", "val", "test")],
    )
    start.tell()
    return start
