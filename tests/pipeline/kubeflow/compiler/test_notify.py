"""What the steps that talk to other services get on a cluster: whom to tell, and secrets by their names only."""

import json

from restem.pipeline.commands import compiling
from restem.pipeline.kubeflow.compiler.compile import PUSHER, REPORT, _executor, secrets_of
from restem.pipeline.kubeflow.compiler.paths import in_the_cluster
from restem.pipeline.kubeflow.compiler.platform import platform_spec


def test_only_the_pusher_knows_whom_to_tell(configured):
    config = in_the_cluster(
        configured("notify.webhook_env=HOOK", "notify.secret_env=KEY", "notify.kubernetes_secret=restem-notify")
    )
    container = {"image": "restem:1"}
    env = {each["name"]: each["value"] for each in _executor(PUSHER, container, config)["container"]["env"]}
    assert json.loads(env["RESTEM_NOTIFY"])["webhook_env"] == "HOOK"
    assert "env" not in _executor(REPORT, container, config)["container"]
    labels = {PUSHER: "exec-pusher", REPORT: "exec-report"}
    spec = platform_spec(config.kubeflow, labels, secrets_of(config))
    executors = spec["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    (secret,) = executors["exec-pusher"]["secretAsEnv"]
    assert secret["secretName"] == "restem-notify"
    assert [pair["envVar"] for pair in secret["keyToEnv"]] == ["HOOK", "KEY"]
    assert "secretAsEnv" not in executors["exec-report"]


def test_without_anyone_to_tell_nothing_changes(configured):
    config = in_the_cluster(configured())
    assert "env" not in _executor(PUSHER, {"image": "restem:1"}, config)["container"]
    assert secrets_of(config) == {}


def test_the_report_has_the_trackers_secret(configured):
    uri = "track.mlflow.tracking_uri=https://mlflow.example.org"
    assert secrets_of(in_the_cluster(configured(uri))) == {}
    config = in_the_cluster(configured(uri, "track.mlflow.kubernetes_secret=tracking"))
    (secret,) = secrets_of(config)[REPORT]["secretAsEnv"]
    assert secret["secretName"] == "tracking"
    assert [pair["envVar"] for pair in secret["keyToEnv"]] == ["MLFLOW_TRACKING_TOKEN"]


def test_an_address_that_will_be_in_the_compiled_file_is_said(configured, monkeypatch, capsys):
    monkeypatch.setattr(compiling, "run_in_worker", lambda *_: "")
    compiling.compile_config(configured("notify.webhook=https://example.org/hook/s3cr3t", "model.weights=none"))
    told = capsys.readouterr().err
    assert "use notify.webhook_env and notify.kubernetes_secret" in told
    assert "s3cr3t" not in told
    named = ("notify.webhook_env=HOOK", "notify.kubernetes_secret=restem-notify")
    compiling.compile_config(configured(*named, "model.weights=none"))
    assert capsys.readouterr().err == ""
