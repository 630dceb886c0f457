"""Tells the result of a run on this machine; see restem/notify."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from restem.notify.message import Message
from restem.notify.send import notify
from restem.pipeline.config import Config
from restem.visible import say

Summary = dict[str, Any]
TOLD = ("metrics", "baseline", "pushed_to", "not_pushed", "report", "quarantined", "log")


@contextlib.contextmanager
def notifying(
    config: Config, root: str, warn: Callable[[str], None] | None = None
) -> Iterator[Callable[[Callable[[], Summary]], None]]:
    """Sends `failed` if its body raises; the yielded function sends the result of a run that finished.

    That function takes one that returns the run's summary, the object of `--json`.

    A run that a signal stops sends nothing: who stopped it knows.

    Args:
        config: its section `notify` decides.
        root: the run's folder.
        warn: receives a sentence for each notification that failed; the default prints it on standard error.
    """
    warn = warn or (lambda text: say(f"restem: {text}", file=sys.stderr, flush=True))
    start = time.time()
    run = f"{root} {start:.3f}"

    def tell(summary: Callable[[], Summary]) -> None:
        if config.notify.wanted:
            try:
                message = of_summary(config.name, run, root, summary())
            except Exception as error:  # the run itself has finished
                warn(f"notify: the result cannot be read: {error}")
            else:
                notify(config.notify, message, warn)

    try:
        yield tell
    except Exception as error:
        from restem.pipeline.errors import explain_failure

        reason = explain_failure(error)[0]
        notify(config.notify, Message("failed", config.name, run, reason, time.time(), {"root": root}), warn)
        raise


def of_summary(name: str, run: str, root: str, summary: Summary) -> Message:
    """The message about a run that finished.

    Args:
        name: the pipeline's.
        run: identifies the run.
        root: the run's folder.
        summary: the object of `--json`.
    """
    details = {"root": root, **{key: summary[key] for key in TOLD if key in summary}}
    return Message("approved" if summary["blessed"] else "refused", name, run, summary["reason"], time.time(), details)
