"""Notifications from a step on a cluster, where no process follows the whole run.

The section `notify` is in the step's environment, not among its properties: whom to tell is no reason to run it again.
"""

import logging
import os
import time
from typing import Any

from restem.notify.config import NotifyConfig
from restem.notify.message import Message
from restem.notify.send import notify

NOTIFY = "RESTEM_NOTIFY"

log = logging.getLogger("restem")


def variable(config: NotifyConfig) -> dict[str, str]:
    """The environment variable for the step that tells the result, as Kubernetes writes it."""
    return {"name": NOTIFY, "value": config.model_dump_json()}


def tell(*, approved: bool, pipeline: str, run: str, reason: str, details: dict[str, Any]) -> None:
    """Tells the result of a run, if the environment names someone to tell; never raises.

    Args:
      approved: the verdict.
      pipeline: its name.
      run: the run's id; a repeated step must give the same.
      reason: the verdict's reason.
      details: see `restem.notify.message.Message`.
    """
    text = os.environ.get(NOTIFY)
    if not text:
        return
    message = Message("approved" if approved else "refused", pipeline, run, reason, time.time(), details)
    notify(NotifyConfig.model_validate_json(text), message, log.warning)
