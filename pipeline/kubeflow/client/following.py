"""Following a run until it ends: its steps as they begin and finish."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from restem.pipeline.errors import Interrupted
from restem.pipeline.kubeflow.client.failure import failure_of
from restem.pipeline.kubeflow.client.runs import FINAL, get_run, moment
from restem.pipeline.kubeflow.client.server import Server
from restem.pipeline.kubeflow.client.server_errors import ServerError
from restem.pipeline.kubeflow.client.steps import Step, steps_of

POLL_SECONDS = 5
REMIND_SECONDS = 60  # how often a long step is mentioned
PATIENCE_SECONDS = 300  # how long to wait for a server that does not answer
Say = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """The state of a run.

    Attributes:
        run: the server's V2beta1Run.
        steps: those that have begun.
        error: why it failed; None where it has not failed.
        link: its page; None where the address of the pages is unknown.
        now: the server's time of this state.
    """

    run: Any
    steps: list[Step]
    error: str | None
    link: str | None
    now: Any

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.run.state in FINAL

    @property
    def seconds(self) -> float | None:
        """How long the run has taken so far, or took in all."""
        began = moment(self.run.created_at)
        return ((moment(self.run.finished_at) or self.now) - began).total_seconds() if began else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "run_id": self.run.run_id,
            "name": self.run.display_name,
            "state": self.run.state,
            "link": self.link,
            "error": self.error,
            "seconds": self.seconds,
            "steps": [step.to_dict(self.now) for step in self.steps],
        }


def report(server: Server, run_id: str) -> Report:
    """The state of a run now."""
    run = get_run(server, run_id)
    steps = steps_of(run)
    link = server.link(f"runs/details/{run.run_id}")
    return Report(run, steps, failure_of(server, run, steps), link, server.now())


def follow(server: Server, run_id: str, say: Say, sleep: Callable[[float], None] = time.sleep) -> Report:
    """Reports each step as it begins and finishes, until the run has ended.

    Args:
        server: as reached.
        run_id: the run's.
        say: called with each line.
        sleep: how to wait.

    Raises:
        ServerError: the server refuses, or has not answered for five minutes.
        Interrupted: by a signal; the run itself goes on, and the message says how to go on following.
    """
    said: dict[str, tuple[str, int]] = {}
    silent_for = waited = 0.0
    try:
        while True:
            try:
                now = report(server, run_id)
                silent_for = 0.0
            except ServerError as error:
                if not error.temporary or silent_for >= PATIENCE_SECONDS:
                    raise
                if not silent_for:
                    say(f"  the server does not answer; asking again ({error.what})")
                silent_for += POLL_SECONDS
                sleep(POLL_SECONDS)
                continue
            changed = _report_changes(now, said, say)
            if now.ended:
                return now
            waited = 0.0 if changed else waited + POLL_SECONDS
            if waited >= REMIND_SECONDS:
                waited = 0.0
                say(_still(now))
            sleep(POLL_SECONDS)
    except Interrupted as interrupt:
        story = f"following; the run goes on. See it with: restem kubeflow status {run_id} --follow"
        raise Interrupted(interrupt.signum, story) from None


def _report_changes(now: Report, said: dict[str, tuple[str, int]], say: Say) -> bool:
    changed = False
    for step in now.steps:
        current = (step.state, step.attempts)
        if said.get(step.name) == current or step.state == "waiting":
            continue
        line = line_of(step, now)
        if step.name in said and step.state == "running" and step.attempts > 1:
            line = f"  {step.name:<20} failed and is tried again, attempt {step.attempts}"
        say(line)
        said[step.name] = current
        changed = True
    return changed


def line_of(step: Step, now: Report) -> str:
    """One step in one line."""
    seconds = step.seconds(now.now)
    took = f" {duration(seconds)}" if seconds is not None else ""
    words = {
        "waiting": "waits",
        "running": f"runs{took}" if seconds and seconds >= 1 else "begins",
        "succeeded": f"done in{took}",
        "cached": "from the cache",
        "failed": f"FAILED after{took}",
    }.get(step.state, step.state)
    tries = f", attempt {step.attempts}" if step.attempts > 1 else ""
    return f"  {step.name:<20} {words}{tries}"


def duration(seconds: float) -> str:
    """4 s; 3 min 5 s; 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _still(now: Report) -> str:
    running = [step.name for step in now.steps if step.state == "running"]
    what = ", ".join(running) or "waiting for the next step"
    return f"  {what} ... {duration(now.seconds or 0)} since the run began"
