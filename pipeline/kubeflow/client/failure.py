"""Why a run failed, in the failing step's own words.

The server itself says little about a failed container ("failed" and no more); the reason is in the pod's log. It is
requested where the API's server keeps logs, and where Kubeflow's pages get them from: a host may be either.
"""

import json
from typing import Any

from restem.pipeline.kubeflow.client.server import Server
from restem.pipeline.kubeflow.client.server_errors import ServerError
from restem.pipeline.kubeflow.client.steps import Step, first_failed

OWN_WORDS = "restem: "  # how the steps' entrypoint begins its last line
LAST_BYTES = 1 << 18  # of a log
LAST_LINES = 15
LOG_SECONDS = 20


def failure_of(server: Server, run: Any, steps: list[Step]) -> str | None:
    """Why a run failed, as the first thing to read about it.

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
    """The last paragraph that a failing step wrote into its log as its error; None where there is none."""
    lines = [line.strip() for line in log.splitlines()]
    return next((line.removeprefix(OWN_WORDS) for line in reversed(lines) if line.startswith(OWN_WORDS)), None)


def _log(server: Server, run: Any, step: Step) -> tuple[str | None, str]:
    """The end of the log of a step's last pod, or why it is not available."""
    if not step.pods:
        return None, "no pod was started for it"
    reasons: list[str] = []
    for pod in step.pods:
        for path, query in _places(server, run.run_id, pod):
            try:
                text = server.get(path, query, answer_seconds=LOG_SECONDS, last_bytes=LAST_BYTES)
                _refuse_error(server, text)
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


def _refuse_error(server: Server, text: str) -> None:
    """The API's server answers 200 before it looks for the log, and then sends an error in the log's place."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(answer, dict) and "error_message" in answer:
        raise ServerError(f"the server says: {answer['error_message']}", where=server.access.host)
