"""A Kubernetes API on loopback with what a training job needs: TFJobs, pods and their logs."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes import client

NAMESPACE = "team"
JOBS = f"/apis/kubeflow.org/v1/namespaces/{NAMESPACE}/tfjobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


class FakeCluster:
    """The state that the API shows.

    Attributes:
        jobs: by name.
        pods: as the API lists them.
        logs: (timestamp, line) by pod.
        refuse: status codes with which the next creations are answered.
        broken: so many of the next requests are answered with 503.
        polls: what happens at each request for a job, in order; the last one again and again.
        on_create: what happens when a job is created.
        requests: method and path of all requests.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: list[dict[str, Any]] = []
        self.logs: dict[str, list[tuple[str, str]]] = {}
        self.refuse: list[int] = []
        self.broken = 0
        self.polls: list[Callable[[str], None]] = []
        self.on_create: Callable[[dict[str, Any]], None] = lambda job: None
        self.requests: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def api(self) -> client.ApiClient:
        """Kubernetes's client for it."""
        configuration = client.Configuration(host=f"http://127.0.0.1:{self._server.server_port}")
        configuration.retries = 0
        return client.ApiClient(configuration)

    def close(self) -> None:
        """Stops the server."""
        self._server.shutdown()
        self._server.server_close()

    def end(self, kind: str, message: str = "") -> Callable[[str], None]:
        """A poll in which the job ends: `kind` is Succeeded or Failed."""

        def end(name: str) -> None:
            self.jobs[name]["status"] = {"conditions": [{"type": kind, "status": "True", "message": message}]}

        return end

    def add_pod(self, job: str, index: int, uid: str, code: int | None = None) -> None:
        """A worker's pod, in place of the one before it; `code` is its exit code."""
        name = f"{job}-worker-{index}"
        self.pods = [pod for pod in self.pods if pod["metadata"]["name"] != name]
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        labels = {"training.kubeflow.org/job-name": job, "training.kubeflow.org/replica-index": str(index)}
        container = {"name": "tensorflow", "image": "i", "imageID": "i", "ready": True, "restartCount": 0}
        self.pods.append(
            {
                "metadata": {"name": name, "uid": uid, "labels": labels},
                "status": {"containerStatuses": [{**container, "state": state}]},
            }
        )

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """Status and answer of one request."""
        self.requests.append((method, path))
        if self.broken:
            self.broken -= 1
            return 503, {"message": "busy"}
        if method == "POST" and path == JOBS:
            if self.refuse:
                return self.refuse.pop(0), {"message": "no"}
            if body["metadata"]["name"] in self.jobs:
                return 409, {"message": "it exists"}
            self.jobs[body["metadata"]["name"]] = body
            self.on_create(body)
            return 201, body
        name = path.removeprefix(f"{JOBS}/")
        if path.startswith(f"{JOBS}/") and name not in self.jobs:
            return 404, {"message": "not found"}
        if method == "DELETE":
            return 200, self.jobs.pop(name)
        if path.startswith(f"{JOBS}/"):
            if self.polls:
                (self.polls.pop(0) if len(self.polls) > 1 else self.polls[0])(name)
            return (200, self.jobs[name]) if name in self.jobs else (404, {})
        if path == PODS:
            wanted = query["labelSelector"][0].partition("=")[2]
            found = [pod for pod in self.pods if wanted in pod["metadata"]["labels"].values()]
            return 200, {"items": found, "kind": "PodList", "apiVersion": "v1"}
        lines = self.logs.get(path.removeprefix(f"{PODS}/").removesuffix("/log"))
        if lines is None:
            return 404, {"message": "no such pod"}
        lines = lines[-int(query["tailLines"][0]) :] if "tailLines" in query else lines
        stamps = query.get("timestamps") == ["True"]
        return 200, "".join(f"{stamp} {line}\n" if stamps else f"{line}\n" for stamp, line in lines)


def _handler(cluster: FakeCluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            url = urlsplit(self.path)
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            status, answer = cluster.answer(self.command, url.path, parse_qs(url.query), body)
            text = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Handler
