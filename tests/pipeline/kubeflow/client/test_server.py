"""Reaching a server, and what is said where that fails: in its words, with what to do, within seconds."""

import socket
import ssl
import threading
from contextlib import contextmanager

import pytest

from restem.pipeline.config.kubeflow import KubeflowConfig
from restem.pipeline.kubeflow.client import access
from restem.pipeline.kubeflow.client import server as module
from restem.pipeline.kubeflow.client.access import Access
from restem.pipeline.kubeflow.client.runs import get_run, newest_runs, start_run
from restem.pipeline.kubeflow.client.server import Server
from restem.pipeline.kubeflow.client.server_errors import ServerError
from restem.pipeline.kubeflow.client.upload import upload
from tests.pipeline.kubeflow.client.http import Answer

GATEWAY = '{"code": 7, "message": "Failed to list runs: User is not authorized", "details": []}'
LOGIN = "<!DOCTYPE html><html><head><title>Log in to Dex</title></head></html>"


def list_runs(server):
    return list(server.pages(server.runs.run_service_list_runs, "runs"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(401, ""), r"401: Unauthorized\. Give a token that is still valid \(RESTEM_KUBEFLOW_TOKEN"),
        (Answer(401, '{"message": "token expired"}'), "401: token expired"),
        (Answer(403, GATEWAY), r"403: Failed to list runs: User is not authorized\. .*kubeflow-edit"),
        (Answer(403, "RBAC: access denied", {"Content-Type": "text/plain"}), "403: RBAC: access denied"),
        (Answer(404, '{"code": 5, "message": "Not Found"}'), r"404: Not Found\. Check the name"),
        (Answer(404, "<html>no page</html>", {"Content-Type": "text/html"}), r"no Kubeflow Pipelines.*/pipeline"),
        (Answer(409, '{"error": "exists", "message": "exists"}'), r"409: exists\. Another process"),
        (Answer(429, "slow down"), "429: slow down"),
        (Answer(400, "[" * 100_000), r"400: \[\[\["),
        (Answer(400, '{"message": "a\\u001b]0;hacked\\u0007"}'), r"400: a\\x1b\]0;hacked\\x07"),
        (Answer(500, '{"error_message": "database is locked"}'), r"500: database is locked\. Try again"),
        (Answer(502, "<html><h1>Bad Gateway</h1></html>", {"Content-Type": "text/html"}), "502: Bad Gateway"),
        (Answer(503, "no healthy upstream", {"Content-Type": "text/plain"}), "503: no healthy upstream"),
        (Answer(400, '{"message": "Namespace cannot be empty"}'), r"Name your namespace: --namespace"),
        (Answer(200, LOGIN, {"Content-Type": "text/html"}), "a web page answers instead of the API"),
        (Answer(403, LOGIN, {"Content-Type": "text/html"}), "probably a login page"),
        (
            Answer(302, "", {"Location": "https://dex.example.org/auth?state=s3cret"}),
            r"redirects the request, probably to a login page\. Given https://dex\.example\.org/auth\.",
        ),
        (Answer(301, "", {"Location": "https://127.0.0.1/x"}), r"wants https\. --host https://127\.0\.0\.1"),
    ],
)
def test_the_servers_words_and_what_to_do(local, server, answer, words):
    local.fail("list_runs", answer)
    with pytest.raises(ServerError, match=words) as caught:
        list_runs(server)
    assert caught.value.exit_code == 1
    assert caught.value.status == answer.status
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)
    # Nothing is asked twice: what was refused once would be refused again.
    assert local.operations().count("list_runs") == 1


def test_a_secret_that_the_server_repeats_is_not_shown(local):
    server = Server(Access(local.host, token="tok3n"))
    local.fail("list_runs", Answer(401, '{"message": "bad token tok3n"}'))
    with pytest.raises(ServerError, match=r"bad token \*\*\*"):
        list_runs(server)


def test_the_first_contact_tells_errors_as_any_other(local):
    local.fail("health", Answer(401, ""))
    with pytest.raises(ServerError, match="401"):
        Server(Access(local.host))
    assert local.operations() == ["health"]


def test_nothing_listens_there(unused_port):
    with pytest.raises(ServerError, match=r"no connection: nothing listens there.*port-forward") as caught:
        Server(Access(f"http://127.0.0.1:{unused_port}"))
    assert caught.value.temporary


def test_there_is_no_such_host():
    with pytest.raises(ServerError, match="there is no such host"):
        Server(Access("http://nowhere.invalid"))


def test_a_server_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "FIRST_ANSWER_SECONDS", 0.3)
    given_up = threading.Event()
    # It answers nothing before it has been given up.
    with listening(lambda connection: given_up.wait()) as port:
        try:
            with pytest.raises(ServerError, match=r"the server no longer answers \(time-out\)") as caught:
                Server(Access(f"http://127.0.0.1:{port}"))
        finally:
            given_up.set()
    assert caught.value.temporary


def test_a_server_that_hangs_up(monkeypatch):
    with (
        listening(lambda connection: connection.recv(1000)) as port,
        pytest.raises(ServerError, match="the connection broke off"),
    ):
        Server(Access(f"http://127.0.0.1:{port}"))


def test_a_server_that_speaks_no_tls(local):
    with pytest.raises(ServerError, match=r"the connection is not secure.*--ca-cert"):
        Server(Access(local.host.replace("http:", "https:")))


def test_a_certificate_of_an_unknown_authority(tmp_path):
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def talk(connection):
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1000)

    with listening(talk) as port, pytest.raises(ServerError, match=r"not secure.*certificate verify failed.*--ca-cert"):
        Server(Access(f"https://127.0.0.1:{port}"))


def test_a_certificate_of_an_authority_that_is_named(tmp_path):
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def talk(connection):
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(4000)
            body = b'{"tag_name": "2.17.0"}'
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            secure.sendall(head.encode() + body)

    with listening(talk) as port:
        assert Server(Access(f"https://127.0.0.1:{port}", ca_cert=str(certificate))).version == (2, 17, 0)


@pytest.mark.parametrize(
    ("tag", "version"), [("2.16.1", (2, 16, 1)), ("v2.5.0-rc.1", (2, 5, 0)), ("unknown", None), ("", None)]
)
def test_the_servers_version(local, tag, version):
    local.kubeflow.tag = tag
    assert Server(Access(local.host)).version == version


def test_several_users_and_no_namespace(local):
    local.kubeflow.multi_user = True
    with pytest.raises(ServerError, match=r"has several users.*--namespace"):
        Server(Access(local.host))


def test_in_a_pod_of_several_users_the_pods_namespace_counts(local, tmp_path, monkeypatch):
    pod = tmp_path / "namespace"
    pod.write_text("mine\n")
    monkeypatch.setattr(access, "POD_NAMESPACE", pod)
    assert Server(Access(local.host)).namespace == ""
    local.kubeflow.multi_user = True
    assert Server(Access(local.host)).namespace == "mine"
    assert Server(Access(local.host, namespace="other")).namespace == "other"


def test_the_namespace_goes_wherever_the_api_wants_it(local, package):
    local.kubeflow.multi_user = True
    server = Server(Access(local.host, namespace="mine"))
    version = upload(server, "digits", package())
    run = start_run(server, KubeflowConfig(), "digits", version)
    assert [one.run_id for one in newest_runs(server, "digits", 5)] == [run.run_id]
    local.requests.clear()
    with pytest.raises(ServerError, match=r"403: .*this namespace is not hers.*--namespace"):
        upload(Server(Access(local.host, namespace="theirs")), "digits", package())


def test_all_pages_are_read(local, server, package, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 2)
    version = upload(server, "digits", package())
    started = []
    for _ in range(5):
        local.kubeflow.advance(1)
        started.append(start_run(server, KubeflowConfig(), "digits", version).run_id)
    assert [run.run_id for run in newest_runs(server, "digits", 10)] == started[::-1]
    assert [run.run_id for run in newest_runs(server, "digits", 3)] == started[::-1][:3]
    tokens = [query.get("page_token") for name, _, query, _ in local.requests if name == "list_runs"]
    assert len(tokens) == 3 + 2
    assert tokens[0] is None


def test_a_run_has_the_configurations_settings(local, server, package):
    section = KubeflowConfig(experiment="nightly", service_account="trainer", pipeline_root="gs://bucket/root")
    version = upload(server, "digits", package())
    run = get_run(server, start_run(server, section, "digits", version).run_id)
    start_run(server, section, "digits", version)
    assert (run.service_account, run.runtime_config.pipeline_root) == ("trainer", "gs://bucket/root")
    assert run.pipeline_version_reference.pipeline_version_id == version.version_id
    assert [one["display_name"] for one in local.kubeflow.experiments] == ["nightly"]
    assert run.display_name.startswith("digits 2026-11-25 12:00")


def test_the_clock_is_the_servers(local, server):
    assert abs((server.now() - local.kubeflow.now).total_seconds()) < 5


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def listening(talk):
    """A port on which `talk` has each connection until it returns."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        talk(connection)
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def self_signed(folder):
    """A certificate for 127.0.0.1, with its key, in one file."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
