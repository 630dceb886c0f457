"""The Pusher's executor."""

import json
import logging
import os
import re
import time
from dataclasses import replace
from typing import Any

from tfx.components.pusher import executor
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx.utils import io_utils

from restem import files
from restem.errors import RestemError
from restem.model_files import CARD, CHANGED, JUDGED, RELEASE, ModelDigest, model_digest
from restem.notify.step import NOTIFY, tell
from restem.pusher.driver import base_directory
from restem.pusher.kserve import write_manifest
from restem.pusher.prune import named, plan, prune
from restem.pusher.push import only_one, push
from restem.pusher.refusal import refusal
from restem.pusher.registry import read_registry
from restem.pusher.release import Release, release_of, withdrawn_models
from restem.pusher.versions import Version, newest_if_same
from restem.record_files import time_text
from restem.storage import is_remote

# A property of the PushedModel: why an approved model was not pushed.
NOT_PUSHED = "not_pushed"
# Kubeflow's run id in the addresses of a run's artifacts.
RUN_ID = re.compile(r"/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/")

log = logging.getLogger("restem")
details = logging.getLogger(__name__)  # only for the log file


class Executor(executor.Executor):
    """TFX's executor with atomic pushes, which skip a model that is already the newest version.

    A model that was rolled back, or lacks a class of the newest version, is not pushed: see refusal.py.
    Besides TFX's properties it reads `version` from the driver; it is missing on Kubeflow, which runs no drivers.
    """

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes an approved model, and copies it to the output `pushed_model`.

        Raises:
          RestemError: the model's files changed after the verdict.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        self._push_if_approved(input_dict, output_dict, exec_properties)
        self._prune(exec_properties)
        self._tell(input_dict, artifact_utils.get_single_instance(output_dict["pushed_model"]))

    def _push_if_approved(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        version = self._push(input_dict, pushed, exec_properties)
        if isinstance(version, Version):
            io_utils.copy_dir(self.GetModelPath(input_dict), pushed.uri)
            self._MarkPushed(pushed, pushed_destination=version.path, pushed_version=str(version.number))
            return
        log.warning("Pusher: %s", version)
        self._MarkNotPushed(pushed)
        pushed.set_string_custom_property(NOT_PUSHED, version)

    def _push(self, inputs: dict[str, list[Artifact]], pushed: Artifact, properties: dict[str, Any]) -> Version | str:
        """The version that is the model now, with its KServe manifest; or why the model must not become one."""
        model, destination = self.GetModelPath(inputs), base_directory(properties)
        settings = json.loads(properties["custom_config"])
        digest, key = _judged(inputs, model), settings["sign_key"]
        files.make_folder(destination)
        with only_one(destination):
            version = newest_if_same(destination, model, known=digest.fingerprint, signed=key is not None)
            if version is None:
                release, notes = self._notes(inputs, pushed, destination)
                allowed = settings["allow_class_changes"]
                reason = refusal(destination, model, release, allow_class_changes=allowed, known=digest.fingerprint)
                if reason is not None:
                    return reason
                version = push(
                    model,
                    destination,
                    digest=digest,
                    at_least=properties.get("version", 0),
                    notes=notes,
                    run=release.run,
                    sign_key=key,
                )
            else:
                log.info("Pusher: the newest version, %s, is already this model; nothing is pushed", version.path)
            self._write_manifest(destination, version, settings)
        return version

    def _write_manifest(self, destination: str, version: Version, settings: dict[str, Any]) -> None:
        storage_uri = settings["storage_uri"] or (destination if is_remote(destination) else None)
        if storage_uri:
            written = write_manifest(destination, version, name=settings["name"], storage_uri=storage_uri)
            log.info("Pusher: KServe manifest written to %s", written)
        else:
            details.info("no KServe manifest: push.storage_uri does not say where KServe reads %s", destination)

    def _prune(self, properties: dict[str, Any]) -> None:
        """Removes old versions. A problem is only said: the push itself is done."""
        settings = json.loads(properties["custom_config"])
        if "keep" not in settings:
            return
        destination, now = base_directory(properties), time.time()
        try:
            needed = named(destination, settings["named"])
            removed = prune(plan(read_registry(destination, now=now), settings["keep"], now=now, needed=needed))
        except (RestemError, OSError) as error:
            log.warning("Pusher: old versions stay: %s", error)
            return
        if removed:
            log.info("Pusher: removed the versions %s", ", ".join(str(entry.number) for entry in removed))

    def _notes(
        self, inputs: dict[str, list[Artifact]], pushed: Artifact, destination: str
    ) -> tuple[Release, dict[str, bytes]]:
        """The release, and the content of the files that the push adds."""
        told = artifact_utils.get_single_uri(inputs["release"])
        release = replace(
            release_of(told),
            pushed_at=time_text(time.time()),
            run=self._run(pushed),
            withdrawn=withdrawn_models(destination),
        )
        notes = {RELEASE: release.to_bytes()}
        if files.exists(f"{told}/{CARD}"):
            notes[CARD] = files.read(f"{told}/{CARD}")
        return release, notes

    def _run(self, pushed: Artifact) -> str | None:
        return (self._context and self._context.pipeline_run_id) or run_of(pushed.uri)

    def _tell(self, inputs: dict[str, list[Artifact]], pushed: Artifact) -> None:
        """On a cluster; on this machine the command tells the result."""
        if not os.environ.get(NOTIFY):
            return
        release = release_of(artifact_utils.get_single_uri(inputs["release"]))
        tell(
            approved=bool(self.CheckBlessing(inputs)),
            pipeline=release.pipeline,
            run=self._run(pushed) or pushed.uri,
            reason=release.reason,
            details={
                "metrics": release.figures,
                "pushed_to": pushed.get_string_custom_property("pushed_destination") or None,
                "not_pushed": pushed.get_string_custom_property(NOT_PUSHED) or None,
            },
        )


def _judged(inputs: dict[str, list[Artifact]], model: str) -> ModelDigest:
    """The model's files; refuses those that are not what the Evaluator judged.

    Raises:
      RestemError: they changed after the verdict.
    """
    judged = artifact_utils.get_single_instance(inputs["model_blessing"]).get_string_custom_property(JUDGED)
    digest = model_digest(model)
    if digest.fingerprint == judged:
        return digest
    raise RestemError(
        "the model's files are not those that were approved",
        where=artifact_utils.get_single_uri(inputs["model"]),
        expected=f"files with the fingerprint {judged}" if judged else "a verdict that names the files it is about",
        given="files that changed after the verdict" if judged else "a verdict without a fingerprint",
        remedy=CHANGED,
    )


def run_of(uri: str) -> str | None:
    """The id of the Kubeflow run that an artifact's address names; None elsewhere."""
    found = RUN_ID.search(uri)
    return found[1] if found else None
