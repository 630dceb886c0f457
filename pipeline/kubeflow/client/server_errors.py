"""Errors of the server and of the connection, as one paragraph that says what to do.

The bodies of errors have three forms (seen in kubeflow/pipelines, backend/src/apiserver): grpc-gateway's
{"code", "message", "details"}, {"error_message", "error_details"} of uploads and logs, and plain text of proxies.
"""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from restem.errors import RestemError

MAX_WORDS = 600  # characters of the server's message
AGAIN = "Try again; if the error persists, its administrator finds more in the log of the deployment ml-pipeline"
REMEDIES = {
    401: "Give a token that is still valid (RESTEM_KUBEFLOW_TOKEN or --token-file) or a session's cookie "
    "(RESTEM_KUBEFLOW_COOKIE or --cookie-file)",
    403: "Check the token and the namespace (--namespace); in it the account needs the role kubeflow-edit",
    404: "Check the name or the ID; a wrong --host has this effect too",
    409: "Another process did the same at this moment: run the command again",
    413: "A proxy before the server refuses files of this size: its administrator has to raise the limit",
    429: "The server asks for fewer requests: wait a minute and run the command again",
}


class ServerError(RestemError):
    """The server refused, failed, or could not be reached.

    Attributes:
        status: the HTTP status; 0 where no answer came.
        temporary: whether asking again later may help.
    """

    exit_code = 1

    def __init__(self, what: str, *, status: int = 0, temporary: bool = False, **more: Any) -> None:
        super().__init__(what, **more)
        self.status = status
        self.temporary = temporary


def from_answer(status: int, reason: str | None, headers: Any, body: str | None, host: str) -> ServerError:
    """The error for an answer.

    Args:
        status: the HTTP status.
        reason: the phrase that came with it, or None.
        headers: a mapping, or None.
        body: as text.
        host: the address of the server.
    """
    headers = {name.lower(): value for name, value in dict(headers or {}).items()}
    if 300 <= status < 400:
        return _redirected(host, headers.get("location", ""), status)
    if is_page(headers.get("content-type"), body) and status in (200, 401, 403):
        return login_page(host, status)
    words = words_of(body) or reason or "no reason is given"
    remedy, temporary = (AGAIN, True) if status >= 500 else (REMEDIES.get(status), status in (408, 429))
    if status == 404 and is_page(headers.get("content-type"), body):
        words, remedy = "there is no Kubeflow Pipelines at this address", _with_pipeline(host)
    if "namespace" in words.lower() and "empty" in words.lower():
        remedy = "Name your namespace: --namespace, or kubeflow.namespace in the configuration"
    return ServerError(
        f"the server answers {status}: {words}", where=host, status=status, temporary=temporary, remedy=remedy
    )


def from_failure(error: BaseException, host: str, ca_cert: str | None = None) -> ServerError:
    """The error for a request without an answer.

    Args:
        error: urllib3's.
        host: the address of the server.
        ca_cert: the certificates that it was checked against, where not the usual ones.
    """
    from urllib3 import exceptions

    cause = getattr(error, "reason", None) or error
    if isinstance(cause, exceptions.SSLError):
        remedy = (
            f"Check that {ca_cert} holds the certificate of the authority that signed the server's"
            if ca_cert
            else "If its certificate is signed by an authority of your own: --ca-cert FILE names the authority's. If "
            "the server speaks no TLS: http:// instead of https://"
        )
        return ServerError("the connection is not secure", where=host, given=_words(cause), remedy=remedy)
    # The order matters: each of the next three is a subclass of the one after it.
    if isinstance(cause, exceptions.NameResolutionError):
        return ServerError(
            "there is no such host",
            where=host,
            remedy="Check the address; names ending in .svc.cluster.local exist inside the cluster only",
        )
    if isinstance(cause, exceptions.NewConnectionError):
        return ServerError(
            "no connection: nothing listens there, or a firewall refuses",
            where=host,
            given=_words(cause),
            temporary=True,
            remedy="Check host and port. For a port-forward: kubectl port-forward -n kubeflow svc/ml-pipeline-ui "
            "8080:80, and --host http://localhost:8080",
        )
    if isinstance(cause, exceptions.ConnectTimeoutError | exceptions.ReadTimeoutError):
        what = "connects" if isinstance(cause, exceptions.ConnectTimeoutError) else "answers"
        return ServerError(
            f"the server no longer {what} (time-out)",
            where=host,
            temporary=True,
            remedy="Try again; a firewall or a stopped port-forward has this effect too",
        )
    return ServerError(
        "the connection broke off", where=host, given=_words(cause), temporary=True, remedy="Run the command again"
    )


def login_page(host: str, status: int = 200) -> ServerError:
    """The error for a web page in place of the API's JSON."""
    return ServerError(
        "a web page answers instead of the API: probably a login page",
        where=host,
        status=status,
        remedy=f"{REMEDIES[401]}. If you are logged in already: {_with_pipeline(host)}",
    )


def is_page(content_type: str | None, body: str | None) -> bool:
    """Whether an answer is HTML."""
    start = (body or "").lstrip()[:15].lower()
    return "text/html" in (content_type or "") or start.startswith(("<!doctype html", "<html"))


def words_of(body: str | None) -> str:
    """The server's message in an error's body; empty where it has none."""
    if not body:
        return ""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return _short(re.sub(r"<[^>]+>", " ", body))
    if not isinstance(data, dict):
        return _short(body)
    return _short(next((str(data[key]) for key in ("error_message", "message", "error") if data.get(key)), ""))


def _redirected(host: str, location: str, status: int) -> ServerError:
    target = urlsplit(location)
    place = f"{target.scheme}://{target.netloc}{target.path}" if target.netloc else target.path
    asked = urlsplit(host)
    if (target.scheme, asked.scheme) == ("https", "http") and target.hostname == asked.hostname:
        return ServerError(
            "the server wants https", where=host, status=status, remedy=f"--host https://{host.removeprefix('http://')}"
        )
    return ServerError(
        "the server redirects the request, probably to a login page",
        where=host,
        status=status,
        given=place,
        remedy=REMEDIES[401],
    )


def _with_pipeline(host: str) -> str:
    if urlsplit(host).path.strip("/"):
        return f"Check the path in {host}"
    return f"Where Kubeflow's dashboard is at {host}, the pipelines are at {host}/pipeline"


def _words(error: BaseException) -> str:
    return _short(str(getattr(error, "__cause__", None) or error).split("object at ")[-1].split(">: ")[-1])


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]} ..."
