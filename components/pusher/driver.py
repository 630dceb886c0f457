"""The Pusher's driver: in local runs, decides which version a run's model becomes.

The number is part of the step's cache key. A model that is already the newest version keeps its number, so an unchanged
run is taken from the cache. If the version was removed or another version is newer, the number is new and the model is
pushed again, unless it was rolled back.
"""

import json
import time

from tfx.components.util import model_utils
from tfx.dsl.components.base import base_driver
from tfx.orchestration import metadata
from tfx.orchestration.portable import base_driver as portable_base_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import artifact_utils
from tfx.utils import path_utils

from restem.model_files import JUDGED, fingerprint
from restem.pusher.push import next_number
from restem.pusher.refusal import refusal
from restem.pusher.release import release_of
from restem.pusher.versions import newest_if_same

NOT_PUSHED = 0


class Driver(base_driver.BaseDriver, portable_base_driver.BaseDriver):
    """Adds the property `version` (int); 0 if the model is not approved, or not pushed (see refusal.py)."""

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_base_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Decides the version number from the versions in the destination."""
        inputs, properties = execution_info.input_dict, execution_info.exec_properties
        version = NOT_PUSHED
        if model_utils.is_model_blessed(artifact_utils.get_single_instance(inputs["model_blessing"])):
            destination = base_directory(properties)
            model = path_utils.serving_model_path(artifact_utils.get_single_uri(inputs["model"]))
            settings = json.loads(properties["custom_config"])
            # What was judged; the executor refuses other files.
            known = artifact_utils.get_single_instance(inputs["model_blessing"]).get_string_custom_property(JUDGED)
            known = known or fingerprint(model)
            same = newest_if_same(destination, model, known=known, signed=settings["sign_key"] is not None)
            if same:
                version = same.number
            else:
                release = release_of(artifact_utils.get_single_uri(inputs["release"]))
                allowed = settings["allow_class_changes"]
                if refusal(destination, model, release, allow_class_changes=allowed, known=known) is None:
                    version = next_number(destination, now=time.time())
        output = driver_output_pb2.DriverOutput()
        output.exec_properties["version"].int_value = version
        return output


def base_directory(properties: dict) -> str:
    """The destination from the step's properties, where TFX stores it as JSON."""
    return json.loads(properties["push_destination"])["filesystem"]["base_directory"]
