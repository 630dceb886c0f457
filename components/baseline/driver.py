"""The Baseline's driver: which version was found is part of the step's cache key.

On Kubeflow no driver runs: there the executor looks by itself, and the cache by a fingerprint of the folder
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
          RestemError: the folder asked for holds no usable model.
        """
        choice = find(execution_info.input_dict, execution_info.exec_properties)
        output = driver_output_pb2.DriverOutput()
        output.exec_properties[CHOICE].string_value = choice.to_json()
        return output


def find(inputs: dict[str, list[Artifact]], properties: dict[str, Any]) -> Choice:
    """What the step's inputs and properties lead to; it is told in the log."""
    asked = properties["baseline"]
    classes = [] if asked == STOCK else run_classes(inputs)
    choice = choose(asked, properties.get("destination"), classes)
    if asked != STOCK:
        choice.tell()
    return choice


def run_classes(inputs: dict[str, list[Artifact]]) -> list[str]:
    """This run's class names by label."""
    # Loads Keras; a stock baseline has no use for the classes here.
    from restem.trainer.module import read_classes

    return read_classes(io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(inputs["schema"])))
