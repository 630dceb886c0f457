"""Why a run failed, in the failing step's own words.

The server itself tells little of a failed container ("failed" and no more); what happened stands in the pod's log. It
is asked for where the API's server keeps logs, and where Kubeflow's pages get them from: a host may be either.
"""

import json
from typing import Any

from restem.pipeline.kubeflow.client.server import Server
from restem.pipeline.kubeflow.client.server_errors import ServerError, login_page
from restem.pipeline.kubeflow.client.steps import Step, first_failed

OWN_WORDS = "restem: "  # how the steps' entrypoint begins its last line
LAST_BYTES = 1 << 18  # of a log
LAST_LINES = 15
LOG_SECONDS = 20


def failure_of(server: Server, run: Any, steps: list[Step]) -> str | None:
    """What the reader has to know first about a run that failed.

    Args:
        server: as reached.
        run: the server's V2beta1Run.
        steps: of that run.

    Returns:
        The step, and its error; None where the run has not failed.
    """
    if run.state != "FAILED":
        return None
    step = first_failed(steps)
    if step is None:
        said = run.error and run.error.message
        return f"The run failed before any step did: {said or 'the server does not say why'}"
    tries = f" (attempt {step.attempts})" if step.attempts > 1 else ""
    log, why_not = _log(server, run, step)
    own = own_words(log) if log else None
    if own:
        return f"{step.name}{tries}: {own}"
    said = step.error or (run.error and run.error.message)
    if log:
        lines = "\n".join(log.strip().splitlines()[-LAST_LINES:])
        return f"{step.name}{tries}: {said or 'failed'}. The end of its log:\n{lines}"
    return f"{step.name}{tries}: {said or 'failed'}. Its log is not available: {why_not}"


def own_words(log: str) -> str | None:
    """The paragraph that a failing step ends its log with; None where it died without one."""
    lines = [line.strip() for line in log.splitlines()]
    return next((line.removeprefix(OWN_WORDS) for line in reversed(lines) if line.startswith(OWN_WORDS)), None)


def _log(server: Server, run: Any, step: Step) -> tuple[str | None, str]:
    """The end of the log of a step's last pod, or why it cannot be had."""
    if not step.pods:
        return None, "no pod was started for it"
    reasons: list[str] = []
    for pod in step.pods:
        for path, query in _places(server, run.run_id, pod):
            try:
                answer = server.raw(path, query=query, answer_seconds=LOG_SECONDS, last_bytes=LAST_BYTES)
                text = _text(server, answer)
            except ServerError as error:
                reasons.append(error.paragraph())
                continue
            if text:
                return text, ""
    remedy = "The pod is gone, and the server keeps no logs"
    return None, f"{reasons[0] if reasons else 'it is empty'} {remedy}"


def _places(server: Server, run_id: str, pod: str) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    query: tuple[tuple[str, str], ...] = (("podname", pod), ("runid", run_id))
    if server.namespace:
        query += (("podnamespace", server.namespace),)
    return (f"/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log", ()), ("/k8s/pod/logs", query)


def _text(server: Server, answer: Any) -> str:
    """The log itself. The API's server answers 200 before it looks for the log, and writes its error behind."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    if text.lstrip().lower().startswith(("<!doctype html", "<html")):
        raise login_page(server.access.host)
    error = answer if isinstance(answer, dict) else {}
    if "error_message" in error:
        raise ServerError(f"the server says: {error['error_message']}", where=server.access.host)
    return text
