"""The Pusher's environment on a cluster: whom to tell, and the secret by its name only."""

import json

from restem.pipeline.kubeflow.compiler.compile import PUSHER, _executor
from restem.pipeline.kubeflow.compiler.paths import in_the_cluster
from restem.pipeline.kubeflow.compiler.platform import notify_secret, platform_spec


def test_only_the_pusher_knows_whom_to_tell(configured):
    config = in_the_cluster(
        configured("notify.webhook_env=HOOK", "notify.secret_env=KEY", "notify.kubernetes_secret=restem-notify")
    )
    container = {"image": "restem:1"}
    env = {each["name"]: each["value"] for each in _executor(PUSHER, container, config)["container"]["env"]}
    assert json.loads(env["RESTEM_NOTIFY"])["webhook_env"] == "HOOK"
    assert "env" not in _executor("Report", container, config)["container"]
    spec = platform_spec(
        config.kubeflow, {PUSHER: "exec-pusher", "Report": "exec-report"}, {PUSHER: notify_secret(config.notify)}
    )
    executors = spec["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    (secret,) = executors["exec-pusher"]["secretAsEnv"]
    assert secret["secretName"] == "restem-notify"
    assert [pair["envVar"] for pair in secret["keyToEnv"]] == ["HOOK", "KEY"]
    assert "secretAsEnv" not in executors["exec-report"]


def test_without_anyone_to_tell_nothing_changes(configured):
    config = in_the_cluster(configured())
    assert "env" not in _executor(PUSHER, {"image": "restem:1"}, config)["container"]
    assert notify_secret(config.notify) == {}
