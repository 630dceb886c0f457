"""The Baseline's driver: makes the version that was found part of the step's cache key.

Kubeflow runs no drivers. There the executor looks for the version, and the cache uses a fingerprint of the folder
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
from tfx.utils import io_utils

from restem.baseline.choice import Choice, choose
from restem.evaluator.config import STOCK

CHOICE = "choice"


class Driver(base_driver.BaseDriver, portable_base_driver.BaseDriver):
    """Adds the property `choice`, a Choice as JSON."""

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_base_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Looks for the baseline.

        Raises:
          RestemError: the requested folder has no usable model.
        """
        choice = find(execution_info.input_dict, execution_info.exec_properties)
        output = driver_output_pb2.DriverOutput()
        output.exec_properties[CHOICE].string_value = choice.to_json()
        return output


def find(inputs: dict[str, list[Artifact]], properties: dict[str, Any]) -> Choice:
    """Finds the baseline for the step's inputs and properties, and logs it."""
    asked = properties["baseline"]
    classes = [] if asked == STOCK else run_classes(inputs)
    choice = choose(asked, properties.get("destination"), classes)
    if asked != STOCK:
        choice.tell()
    return choice


def run_classes(inputs: dict[str, list[Artifact]]) -> list[str]:
    """This run's class names in label order."""
    # Imported here because it loads Keras, which a stock baseline does not need.
    from restem.trainer.module import read_classes

    return read_classes(io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(inputs["schema"])))
