"""The Baseline's driver: makes the version that was found part of the step's cache key.

Kubeflow runs no drivers. There the executor looks for the version, and the cache uses a fingerprint of the folder
(pipeline/kubeflow/container/fingerprints.py).
"""

from typing import Any, ClassVar, Protocol

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
from restem.example_gen.classes import refuse_missing
from restem.pusher.classes import class_change

CHOICE = "choice"


class Found(Protocol):
    """What a driver found."""

    def to_json(self) -> str: ...


class FindingDriver(base_driver.BaseDriver, portable_base_driver.BaseDriver):
    """Adds what it finds outside of the pipeline as a property, as JSON."""

    PROPERTY: ClassVar[str]

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_base_driver.BaseDriver.__init__(self, metadata_handle)

    def find(self, inputs: dict[str, list[Artifact]], properties: dict[str, Any]) -> Found:
        """Looks for it, with the step's inputs and properties."""
        raise NotImplementedError

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Looks for it.

        Raises:
          RestemError: there is nothing that can be used.
        """
        output = driver_output_pb2.DriverOutput()
        found = self.find(execution_info.input_dict, execution_info.exec_properties)
        output.exec_properties[self.PROPERTY].string_value = found.to_json()
        return output


class Driver(FindingDriver):
    """Adds the property `choice`, a Choice as JSON."""

    PROPERTY = CHOICE

    def find(self, inputs: dict[str, list[Artifact]], properties: dict[str, Any]) -> Choice:
        """See the function `find`."""
        return find(inputs, properties)


def find(inputs: dict[str, list[Artifact]], properties: dict[str, Any]) -> Choice:
    """Finds the baseline for the step's inputs and properties, and logs it.

    Raises:
      RestemError: the requested folder has no usable model; or a class of the newest version is missing.
    """
    asked, destination = properties["baseline"], properties.get("destination")
    classes = [] if asked == STOCK else run_classes(inputs)
    if destination and classes:
        # Here, because this step runs before the candidate's training.
        refuse_missing(
            class_change(destination, classes),
            where=f"push.destination ({destination})",
            allowed=bool(properties.get("allow_class_changes")),
        )
    choice = choose(asked, destination, classes, properties.get("verify_key"))
    if asked != STOCK:
        choice.tell()
    return choice


def run_classes(inputs: dict[str, list[Artifact]]) -> list[str]:
    """This run's class names in label order."""
    # Imported here because it loads Keras, which a stock baseline does not need.
    from restem.trainer.module import read_classes

    return read_classes(io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(inputs["schema"])))
