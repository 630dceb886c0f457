"""Notifications to a real server on this machine, and to a real command."""

import base64
import hashlib
import hmac
import json
import logging
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from restem.errors import RestemError
from restem.notify import send
from restem.notify.config import NotifyConfig
from restem.notify.message import Message
from restem.notify.send import check, notify
from restem.notify.step import NOTIFY, tell, variable

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
MESSAGE = Message(
    "approved", "own", "run-1", "Approved: «better».", 1_700_000_000.9, {"metrics": {"loss": float("nan")}}
)


class Receiver(ThreadingHTTPServer):
    """Answers with the given statuses in turn, the last one again and again; None: not at all."""

    daemon_threads = True

    def __init__(self, *statuses):
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = list(statuses)
        self.requests = []
        self.released = threading.Event()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/hook/T0P5ECRET?token=T0P5ECRET"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers.items()), body))
        status = self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0]
        if status is None:
            self.server.released.wait()
            return
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receive(monkeypatch):
    """receive(*statuses): a running Receiver; nothing waits between two attempts."""
    monkeypatch.setattr(send, "BACKOFF_SECONDS", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = []

    def receive(*statuses):
        server = Receiver(*statuses)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return server

    yield receive
    for server in running:
        server.released.set()
        server.shutdown()
        server.server_close()


def told(config, message=MESSAGE):
    """The warnings."""
    warnings = []
    notify(config, message, warnings.append)
    return warnings


def test_the_message_arrives_signed(receive, monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    server = receive(200)
    assert told(NotifyConfig(webhook=server.address, secret_env="HOOK_SECRET")) == []
    ((path, headers, body),) = server.requests
    assert path.startswith("/hook/")
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {
        "type": "restem.run.approved",
        "timestamp": "2023-11-14T22:13:20Z",
        "text": "own: approved. Approved: «better».",
        "data": {
            "event": "approved",
            "pipeline": "own",
            "run": "run-1",
            "reason": "Approved: «better».",
            "metrics": {"loss": None},
        },
    }
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (MESSAGE.id, "1700000000")
    signed = f"{MESSAGE.id}.1700000000.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_the_signature_is_that_of_the_specification():
    """The example of Standard Webhooks' reference libraries."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = send.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_nothing_is_signed(receive):
    server = receive(204)
    assert told(NotifyConfig(webhook=server.address)) == []
    assert "webhook-signature" not in server.requests[0][1]


def test_a_failing_server_is_asked_again_with_the_same_id(receive):
    server = receive(500, 500, 200)
    assert told(NotifyConfig(webhook=server.address)) == []
    assert len(server.requests) == 3
    assert {headers["webhook-id"] for _, headers, _ in server.requests} == {MESSAGE.id}


def test_a_server_that_always_fails_is_a_warning(receive, caplog):
    server = receive(503)
    with caplog.at_level(logging.DEBUG):
        assert told(NotifyConfig(webhook=server.address)) == [
            "notify: the webhook was not told: 127.0.0.1 answered 503, 4 times"
        ]
    assert len(server.requests) == 4
    assert "T0P5ECRET" not in caplog.text


def test_an_answer_that_is_no_success_is_not_asked_again(receive):
    server = receive(404)
    assert told(NotifyConfig(webhook=server.address)) == ["notify: the webhook was not told: 127.0.0.1 answered 404"]
    assert len(server.requests) == 1


def test_a_redirection_is_not_followed(receive):
    server = receive(302)
    assert told(NotifyConfig(webhook=server.address)) == ["notify: the webhook was not told: 127.0.0.1 answered 302"]
    assert len(server.requests) == 1


def test_a_server_that_does_not_answer_is_a_warning(receive, monkeypatch, caplog):
    monkeypatch.setattr(send, "RETRIES", 1)
    server = receive(None)
    with caplog.at_level(logging.DEBUG):
        assert told(NotifyConfig(webhook=server.address, timeout_seconds=0.2)) == [
            "notify: the webhook was not told: 127.0.0.1: no answer within 0.2 s"
        ]
    assert len(server.requests) == 2
    assert "T0P5ECRET" not in caplog.text


def test_a_refused_connection_is_a_warning(receive, caplog):
    receive(200)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/T0P5ECRET"
        with caplog.at_level(logging.DEBUG):
            (warning,) = told(NotifyConfig(webhook=address))
    assert warning == "notify: the webhook was not told: 127.0.0.1: no connection (Connection refused)"
    assert "T0P5ECRET" not in caplog.text


def test_the_address_can_be_in_the_environment(receive, monkeypatch):
    server = receive(200)
    config = NotifyConfig(webhook_env="HOOK")
    with pytest.raises(RestemError, match=r"notify\.webhook_env \(HOOK\): the environment variable is not set"):
        check(config)
    assert "is not set" in told(config)[0]
    monkeypatch.setenv("HOOK", server.address)
    check(config)
    assert told(config) == []
    assert len(server.requests) == 1
    monkeypatch.setenv("HOOK", "T0P5ECRET")
    with pytest.raises(RestemError, match="not the address of a webhook") as refused:
        check(config)
    assert "T0P5ECRET" not in str(refused.value)


@pytest.mark.parametrize("value", ["T0P5ECRET", "whsec_T0P5ECRET!", "whsec_" + base64.b64encode(b"T0P5ECRET").decode()])
def test_an_unusable_secret_is_refused_before_the_run_without_showing_it(value, monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", value)
    with pytest.raises(RestemError, match=r"24 to 64 bytes in base64.*openssl rand") as refused:
        check(NotifyConfig(webhook="https://example.org", secret_env="HOOK_SECRET"))
    assert value not in str(refused.value)


def test_a_command_gets_the_message(tmp_path, capfd):
    out = tmp_path / "told.json"
    code = f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read()); print('to nowhere')"
    config = NotifyConfig(command=(sys.executable, "-c", code, "; touch x"))
    check(config)
    assert told(config) == []
    assert json.loads(out.read_text())["data"]["pipeline"] == "own"
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; sys.exit(3)", "its exit code is 3"),
        ("import sys; sys.stdin.read(); input()", "its exit code is 1"),
        ("import threading; threading.Event().wait()", "it did not end within 0.5 s"),
    ],
)
def test_a_command_that_fails_is_a_warning(code, reason):
    config = NotifyConfig(command=(sys.executable, "-c", code), timeout_seconds=0.5 if "wait" in code else 60)
    assert told(config) == [f"notify: the command {sys.executable} was not told: {reason}"]


def test_a_missing_program_is_refused_before_the_run():
    config = NotifyConfig(command=("no-such-program-here",))
    with pytest.raises(RestemError, match=r"notify\.command: there is no such program"):
        check(config)
    assert "cannot be started" in told(config)[0]


def test_both_ways_are_tried_and_only_for_the_events(receive, tmp_path):
    server = receive(404)
    out = tmp_path / "told"
    config = NotifyConfig(webhook=server.address, command=("tee", str(out)), on=("refused",))
    assert told(config) == []
    assert len(told(config, Message("refused", "own", "run-2", "Not approved.", 0))) == 1
    assert json.loads(out.read_text())["type"] == "restem.run.refused"


def test_from_a_step_on_a_cluster(receive, monkeypatch, caplog):
    server = receive(200)
    told = {"pipeline": "own", "run": "r", "reason": "Approved.", "details": {}}
    tell(approved=True, **told)
    config = NotifyConfig(webhook=server.address)
    assert variable(config)["name"] == NOTIFY
    monkeypatch.setenv(NOTIFY, variable(config)["value"])
    tell(approved=True, **told)
    tell(approved=False, **told)
    assert [json.loads(body)["type"] for _, _, body in server.requests] == ["restem.run.approved", "restem.run.refused"]


def test_an_approved_model_that_was_not_pushed_is_told_as_one():
    message = Message("approved", "own", "run", "Approved.", 0.0, {"not_pushed": "Version 7 was pushed meanwhile."})
    assert json.loads(message.body())["text"] == "own: approved. Approved. Not pushed: Version 7 was pushed meanwhile."
