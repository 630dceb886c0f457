"""The server's rim: HTTP on an ephemeral port, each request validated, and accidents on demand."""

import email
import json
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema

from tests.pipeline.kubeflow.client.contract import ANSWERS, FILTER, OPERATIONS, Operation
from tests.pipeline.kubeflow.client.kubeflow import Kubeflow, Refused


@dataclass(frozen=True)
class Answer:
    """An answer made up by a test."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Local:
    """The running server, as a test sees it.

    Attributes:
        host: its address.
        kubeflow: what it stores.
        requests: the operation, path parameters, query and body of each request, in order.
        headers: of each request.
        breaches: requests that the contract forbids; a test that leaves any fails.
        accident: called with each request's operation; its answer, if any, is sent instead.
    """

    host: str
    kubeflow: Kubeflow
    requests: list[tuple[str, dict, dict, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    accident: Callable[[str], Answer | None] = lambda operation: None
    lock: Any = field(default_factory=threading.Lock)

    def operations(self) -> list[str]:
        """The names of the operations that were asked for."""
        return [name for name, *_ in self.requests]

    def fail(self, operation: str, answer: Answer, times: int = 1_000_000) -> None:
        """Lets the next requests for an operation be answered in this way."""
        left = [times]

        def accident(asked: str) -> Answer | None:
            if asked != operation or not left[0]:
                return None
            left[0] -= 1
            return answer

        self.accident = accident


@contextmanager
def serve(kubeflow: Kubeflow):
    """Serves until the block ends, and then checks that no request broke the contract."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    local = Local(f"http://127.0.0.1:{httpd.server_address[1]}", kubeflow)
    httpd.local = local
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield local
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
    assert not local.breaches, local.breaches


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_DELETE = do_GET

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests look at `Local.requests`."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The server's own clock, in the header Date."""
        return format_datetime(self.server.local.kubeflow.now, usegmt=True)

    def _answer(self) -> None:
        local = self.server.local
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        payload = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with local.lock:
            local.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = self._answer_to(local, parts.path, query, payload)
        self.send_response(answer.status)
        data = answer.body.encode()
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _answer_to(self, local: Local, path: str, query: dict, payload: bytes) -> Answer:
        found = [(name, one, one.matches(self.command, path)) for name, one in OPERATIONS.items()]
        found = [item for item in found if item[2] is not None]
        if not found:
            local.breaches.append(f"no such operation: {self.command} {path}")
            return Answer(404, json.dumps({"code": 5, "message": "Not Found", "details": []}))
        name, operation, place = found[-1]
        local.kubeflow.advance(local.kubeflow.latency.total_seconds())
        accident = local.accident(name)
        if accident is not None:
            local.requests.append((name, place, query, None))
            return accident
        try:
            body = self._checked(operation, query, payload)
        except (jsonschema.ValidationError, ValueError) as error:
            local.breaches.append(f"{self.command} {path}: {error}")
            return Answer(400, json.dumps({"code": 3, "message": f"proto: {str(error).splitlines()[0]}"}))
        local.requests.append((name, place, query, body))
        try:
            answer = getattr(local.kubeflow, name)(place, query, body)
        except Refused as refused:
            if operation.body == "file":
                # Uploads have errors of their own form.
                return Answer(refused.status, json.dumps({"error_message": refused.words, "error_details": ""}))
            return Answer(refused.status, refused.body())
        if isinstance(answer, str):
            return Answer(200, answer, {"Content-Type": "text/plain"})
        if name in ANSWERS:
            # A message has the definition's fields and no others, whatever else is stored beside them.
            answer = {key: value for key, value in answer.items() if key in ANSWERS[name]["properties"]}
        return Answer(200, json.dumps(answer))

    def _checked(self, operation: Operation, query: dict, payload: bytes) -> Any:
        for name, text in query.items():
            value = int(text) if operation.query.get(name) == {"type": "integer"} else text
            if name not in operation.query:
                raise ValueError(f"no such query parameter: {name}")
            jsonschema.validate(value, operation.query[name])
        if query.get("filter"):
            jsonschema.validate(json.loads(query["filter"]), FILTER)
        if operation.body == "file":
            return self._form(payload)
        if operation.body is None:
            if payload:
                raise ValueError("a body where there is none")
            return None
        body = json.loads(payload)
        jsonschema.validate(body, operation.body)
        return body

    def _form(self, payload: bytes) -> tuple[str, bytes]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = email.message_from_bytes(head + payload).get_payload()
        if not isinstance(parts, list) or len(parts) != 1:
            raise ValueError("no form with one file")
        name = parts[0].get_param("name", header="content-disposition")
        if name != "uploadfile":
            raise ValueError(f"the file's field is uploadfile, not {name}")
        return parts[0].get_filename(), parts[0].get_payload(decode=True)
