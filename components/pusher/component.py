"""The Pusher step: TFX's Pusher with atomic pushes, which skip a model that is already the newest version."""

from collections.abc import Mapping

import tfx.components
from tfx import types
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter
from tfx.types.standard_component_specs import PusherSpec
from tfx.utils import json_utils

from restem.fingerprint import code_fingerprint
from restem.pusher.artifacts import ReleaseNotes
from restem.pusher.driver import Driver
from restem.pusher.executor import Executor


class _PusherSpec(PusherSpec):
    """TFX's inputs, and what the push adds to the model."""

    INPUTS = {**PusherSpec.INPUTS, "release": ChannelParameter(type=ReleaseNotes)}  # noqa: RUF012 - TFX requires a dict


class Pusher(tfx.components.Pusher):
    """Copies an approved model to <destination>/<version>/; output `pushed_model` (PushedModel)."""

    SPEC_CLASS = _PusherSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        release: types.BaseChannel,
        *,
        destination: str,
        name: str,
        storage_uri: str | None = None,
        allow_class_changes: bool = False,
        keep: int | None = None,
        named: Mapping[str, str | None] | None = None,
        sign_key: str | None = None,
    ) -> None:
        """Describes the step.

        Args:
          model: the candidate.
          model_blessing: the Evaluator's `blessing`.
          release: the Report's `release`.
          destination: the folder of versions, as TensorFlow Serving reads it.
          name: the name of the served model.
          storage_uri: where a serving cluster reads the destination; the default is the destination itself if it is in
            a bucket. If this is known, a manifest for KServe is written.
          allow_class_changes: whether a model may be pushed that lacks a class of the newest version.
          keep: how many versions stay after a push; None: all, or somebody else removes them.
          named: values of the configuration, by key: a version that one of them names stays too.
          sign_key: the file of the private key that signs the manifest.
        """
        # TFX's constructor creates the spec without our input, so the spec is created here.
        super(tfx.components.Pusher, self).__init__(
            spec=_PusherSpec(
                model=model,
                model_blessing=model_blessing,
                release=release,
                push_destination=pusher_pb2.PushDestination(
                    filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=destination)
                ),
                custom_config=json_utils.dumps(
                    {
                        "name": name,
                        "storage_uri": storage_uri,
                        "allow_class_changes": allow_class_changes,
                        **({} if keep is None else {"keep": keep, "named": dict(named or {})}),
                        "sign_key": sign_key,
                        "code": code_fingerprint("pusher.driver", "pusher.executor"),
                    }
                ),
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )
