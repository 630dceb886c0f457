"""The Pusher's executor."""

import json
import logging
from typing import Any

from tfx.components.pusher import executor
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx.utils import io_utils

from restem.pusher.driver import base_directory
from restem.pusher.kserve import write_manifest
from restem.pusher.push import push
from restem.pusher.versions import newest_if_same
from restem.storage import is_remote

log = logging.getLogger("restem")
details = logging.getLogger(__name__)  # only for the log file


class Executor(executor.Executor):
    """TFX's executor with atomic pushes, which skip a model that is already the newest version.

    Besides TFX's properties it reads `version` from the driver; it is missing on Kubeflow, which runs no drivers.
    """

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes an approved model, and copies it to the output `pushed_model`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        model, destination = self.GetModelPath(input_dict), base_directory(exec_properties)
        version = newest_if_same(destination, model)
        if version is None:
            version = push(model, destination, at_least=exec_properties.get("version", 0))
        else:
            log.info("Pusher: the newest version, %s, is already this model; nothing is pushed", version.path)
        settings = json.loads(exec_properties["custom_config"])
        storage_uri = settings["storage_uri"] or (destination if is_remote(destination) else None)
        if storage_uri:
            written = write_manifest(destination, version, name=settings["name"], storage_uri=storage_uri)
            log.info("Pusher: KServe manifest written to %s", written)
        else:
            details.info("no KServe manifest: push.storage_uri does not say where KServe reads %s", destination)
        io_utils.copy_dir(model, pushed.uri)
        self._MarkPushed(pushed, pushed_destination=version.path, pushed_version=str(version.number))
