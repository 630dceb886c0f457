"""Asks a Flink cluster, at its own web address, what a job waits for, and cancels a job.

Beam's job server says RUNNING as soon as it has handed a job to Flink, also while no task manager is there.
"""

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LOGGER = logging.getLogger("restem")
ANSWER_SECONDS = 5.0
HERE = ("[local]", "[auto]")  # Beam's words for a cluster that it starts itself
# Flink's states of a job that is over.
ENDED = ("FINISHED", "CANCELED", "FAILED", "SUSPENDED")
# Flink's states of a task that has no slot yet.
_WAITING = ("created", "scheduled")
_WORKING = ("deploying", "initializing", "running", "finished")


class NoAnswer(Exception):
    """Flink did not answer; the message says why."""


@dataclass(frozen=True)
class Cluster:
    """What a Flink cluster has.

    Attributes:
      managers: its registered task managers.
      slots: of all of them.
      free: of these slots.
    """

    managers: int
    slots: int
    free: int


def address(master: str) -> str:
    """The web address of --flink_master; empty if Beam starts the cluster itself."""
    if master.strip() in ("", *HERE):
        return ""
    return master.strip().rstrip("/") if "://" in master else f"http://{master.strip()}"


def cluster(master: str) -> Cluster:
    """What the cluster has now.

    Raises:
        NoAnswer: with the reason.
    """
    found = _ask(master, "/overview")
    return Cluster(*(int(found.get(key, 0)) for key in ("taskmanagers", "slots-total", "slots-available")))


def missing(master: str, name: str, parallelism: int) -> tuple[str, bool]:
    """What a job waits for, as a sentence, and whether it is certain that it does not work meanwhile."""
    where = f"Flink at {master}"
    try:
        there, job = cluster(master), _job(master, name)
    except NoAnswer as error:
        return f"{where} does not answer ({error})", True
    if not there.managers:
        return f"{where} has no task manager: start one, or see its log for why it does not register", True
    if job is None:
        return f"{where} does not have the job yet: Beam's job server is preparing it", True
    tasks: Mapping[str, int] = job.get("tasks", {})
    waiting, working = (sum(tasks.get(state, 0) for state in states) for states in (_WAITING, _WORKING))
    if working:
        told = (
            "its tasks run, but no record passed between them: their workers are starting, are missing (is there one "
        )
        return f"{told}at --environment_config beside each task manager?), or have much to do", False
    if waiting and there.free < parallelism:
        slots = f"{there.free} of {there.slots} task slots are free, and the job needs {parallelism}"
        return f"{slots} at {where}: end other jobs, add task managers, or set a smaller beam.parallelism", True
    return f"{where} has the job as {job.get('state', 'unknown')}, and started none of its tasks", True


def progress(master: str, name: str) -> tuple:
    """Figures that change while a job works."""
    try:
        job = _job(master, name)
        if job is None:
            return ()
        detail = _ask(master, f"/jobs/{job['jid']}")
    except NoAnswer:
        return ()
    metrics = [vertex.get("metrics", {}) for vertex in detail.get("vertices", [])]
    records = tuple((one.get("read-records"), one.get("write-records")) for one in metrics)
    return (job.get("state"), tuple(sorted(job.get("tasks", {}).items())), records)


def cancel(master: str, name: str) -> bool:
    """Cancels the job of this name; returns whether Flink was told to."""
    try:
        job = _job(master, name)
        if job is None or job.get("state") in ENDED:
            return False
        _ask(master, f"/jobs/{job['jid']}?mode=cancel", "PATCH")
    except NoAnswer as error:
        LOGGER.warning("Flink at %s could not be told to cancel the job %s (%s)", master, name, error)
        return False
    return True


def _job(master: str, name: str) -> dict[str, Any] | None:
    jobs = _ask(master, "/jobs/overview").get("jobs", [])
    return next((job for job in jobs if job.get("name") == name), None)


def _ask(master: str, path: str, method: str = "GET") -> dict[str, Any]:
    where = address(master)
    if not where:
        raise NoAnswer("Beam starts it itself, at an address that is not known")
    request = urllib.request.Request(where + path, method=method)  # noqa: S310 - the user's own cluster
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            text = answer.read()
        found = json.loads(text) if text.strip() else {}
    except (OSError, ValueError) as error:
        raise NoAnswer(getattr(error, "reason", None) or error) from None
    if not isinstance(found, dict):
        raise NoAnswer("this is not Flink's web address")
    return found
