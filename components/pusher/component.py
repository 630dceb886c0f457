"""The Pusher step: TFX's Pusher with atomic pushes, which skip a model that is already the newest version."""

import tfx.components
from tfx import types
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.proto import pusher_pb2

from restem.fingerprint import code_fingerprint
from restem.pusher.driver import Driver
from restem.pusher.executor import Executor


class Pusher(tfx.components.Pusher):
    """Copies an approved model to <destination>/<version>/; output `pushed_model` (PushedModel)."""

    EXECUTOR_SPEC = ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        *,
        destination: str,
        name: str,
        storage_uri: str | None = None,
    ) -> None:
        """Describes the step.

        Args:
          model: the candidate.
          model_blessing: the Evaluator's `blessing`.
          destination: the folder of versions, as TensorFlow Serving reads it.
          name: the name of the served model.
          storage_uri: where a serving cluster reads the destination; the default is the destination itself if it is in
            a bucket. If this is known, a manifest for KServe is written.
        """
        super().__init__(
            model=model,
            model_blessing=model_blessing,
            push_destination=pusher_pb2.PushDestination(
                filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=destination)
            ),
            custom_config={
                "name": name,
                "storage_uri": storage_uri,
                "code": code_fingerprint("pusher.driver", "pusher.executor"),
            },
        )
