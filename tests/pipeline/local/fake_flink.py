"""Flink's web address with the answers that a test gives, and a record of what was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeFlink:
    """`answers` by path, `asked` as "METHOD path", `master` as HOST:PORT."""

    def __init__(self, master: str) -> None:
        self.master = master
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {"/jobs/overview": {"jobs": []}}
        self.has(managers=1, slots=2, free=2)

    def has(self, *, managers: int, slots: int, free: int) -> None:
        """What Flink 1.19 answers, without the counts of jobs."""
        overview = {"taskmanagers": managers, "slots-total": slots, "slots-available": free, "flink-version": "1.19.1"}
        self.answers["/overview"] = overview

    def runs(self, name: str, state: str = "RUNNING", **tasks: int) -> None:
        """Has one job, with its id `a1`."""
        self.answers["/jobs/overview"] = {"jobs": [{"jid": "a1", "name": name, "state": state, "tasks": tasks}]}
        self.answers["/jobs/a1"] = {"vertices": [{"metrics": {"read-records": 1, "write-records": 2}}]}


@contextmanager
def fake_flink() -> Iterator[FakeFlink]:
    """Serves it on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            flink.asked.append(f"{self.command} {self.path}")
            found = flink.answers.get(self.path.partition("?")[0])
            self.send_response(200 if found is not None else 404)
            self.end_headers()
            self.wfile.write(b"" if self.command == "PATCH" else json.dumps(found).encode())

        do_PATCH = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    flink = FakeFlink(f"localhost:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield flink
    finally:
        server.shutdown()
        server.server_close()
