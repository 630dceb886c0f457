"""Which server is talked to, as whom; secrets stay secret."""

import pytest

from restem.errors import RestemError
from restem.pipeline.config.kubeflow import KubeflowConfig
from restem.pipeline.kubeflow.client import access
from restem.pipeline.kubeflow.client.access import COOKIE, HOST, TOKEN, UI_HOST, Access, find_access
from restem.pipeline.kubeflow.client.server import Server

CONFIG = KubeflowConfig(host="https://from-config/pipeline/", namespace="ours")


@pytest.mark.parametrize(
    ("option", "config", "environment", "expected"),
    [
        ("http://option:8080/", CONFIG, {HOST: "http://environment"}, "http://option:8080"),
        (None, CONFIG, {HOST: "http://environment"}, "https://from-config/pipeline"),
        (None, KubeflowConfig(), {HOST: "http://environment"}, "http://environment"),
        (None, None, {HOST: "http://environment"}, "http://environment"),
        ("kubeflow.example.org", None, {}, "https://kubeflow.example.org"),
    ],
)
def test_the_command_line_counts_before_the_configuration_and_that_before_the_environment(
    option, config, environment, expected
):
    found = find_access(config, host=option, environ=environment)
    assert found.host == expected
    assert found.ui == expected


def test_inside_the_cluster(monkeypatch, tmp_path):
    token = tmp_path / "token"
    token.write_text("projected\n")
    monkeypatch.setattr(access, "POD_TOKEN", token)
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KF_PIPELINES_SA_TOKEN_PATH": str(token)}
    found = find_access(None, namespace="mine", environ=environment)
    assert found.host == "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
    assert (found.ui, found.namespace, found.token_file) == (None, "mine", str(token))
    with_pages = find_access(None, environ={**environment, UI_HOST: "https://kubeflow/pipeline/"})
    assert with_pages.ui == "https://kubeflow/pipeline"


def test_nowhere_to_go_is_told_with_what_to_do():
    with pytest.raises(RestemError, match=r"address of Kubeflow Pipelines is unknown.*--host.*port-forward"):
        find_access(KubeflowConfig(), environ={})


@pytest.mark.parametrize(
    "host",
    [
        "http://",
        "ftp://x",
        "http://a b",
        "http://name:password@host",
        "https://h?token=x",
        "http://h:port",
        "http://[x",
        "http://a..b",
    ],
)
def test_what_is_no_address(host):
    with pytest.raises(RestemError, match="this is not an address") as caught:
        find_access(None, host=host, environ={})
    assert "password" not in str(caught.value).replace("no name, password", "")


def test_a_token_from_the_environment_arrives(local):
    Server(find_access(None, host=local.host, environ={TOKEN: " secret-token\n"}))
    assert local.headers[-1]["authorization"] == "Bearer secret-token"


def test_a_token_from_a_file_is_read_again_for_each_request(local, tmp_path):
    path = tmp_path / "token"
    path.write_text("first\n")
    server = Server(find_access(None, host=local.host, token_file=str(path), environ={TOKEN: "not this"}))
    assert local.headers[-1]["authorization"] == "Bearer first"
    path.write_text("second\n")
    server.call(server.runs.run_service_list_runs)
    assert local.headers[-1]["authorization"] == "Bearer second"


@pytest.mark.parametrize("from_file", [True, False])
def test_a_cookie_arrives_with_every_request(local, tmp_path, from_file):
    path = tmp_path / "cookie"
    path.write_text("authservice_session=secret\n")
    given = {"cookie_file": str(path)} if from_file else {}
    environ = {} if from_file else {COOKIE: "authservice_session=secret"}
    server = Server(find_access(None, host=local.host, environ=environ, **given))
    server.call(server.runs.run_service_list_runs)
    assert {headers["cookie"] for headers in local.headers} == {"authservice_session=secret"}
    assert local.operations()[-1] == "list_runs"
    assert "authorization" not in local.headers[-1]


def test_the_users_kfp_context_is_neither_read_nor_written(local, tmp_path, monkeypatch):
    """A cookie that kfp keeps for one host must not go to another."""
    import kfp

    context = tmp_path / "context.json"
    context.write_text('{"namespace": "other", "client_authentication_cookie": "secret"}')
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(context))
    assert Server(Access(local.host)).namespace == ""
    assert "cookie" not in local.headers[-1]
    assert "other" in context.read_text()


@pytest.mark.parametrize("content", ["", "two\nlines", "caf\u00e9"])
def test_a_file_without_a_token(tmp_path, content):
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(RestemError, match=r"the file is empty|this is not a token or cookie") as caught:
        find_access(None, host="http://h", token_file=str(path), environ={})
    assert "lines" not in str(caught.value)


def test_files_that_are_not_there():
    with pytest.raises(RestemError, match="the token cannot be read"):
        find_access(None, host="http://h", token_file="/nowhere/token", environ={})
    with pytest.raises(RestemError, match="--ca-cert: there is no such file"):
        find_access(None, host="http://h", ca_cert="/nowhere/ca.pem", environ={})


def test_secrets_are_in_no_text(tmp_path):
    path = tmp_path / "token"
    path.write_text("from-file")
    found = Access("http://h", token="in-memory", token_file=str(path), cookie="session=crumbs")
    assert found.without_secrets("in-memory, from-file, session=crumbs, crumbs") == "***, ***, ***, ***"
    assert "in-memory" not in repr(found)
    assert "crumbs" not in repr(found)
