"""The job that a training step starts, and the step's own pod, which only waits."""

import json

import pytest

from restem.pipeline.config.errors import ConfigError
from restem.pipeline.kubeflow.compiler.compile import _executor
from restem.pipeline.kubeflow.compiler.paths import in_the_cluster
from restem.pipeline.kubeflow.compiler.platform import platform_spec
from restem.pipeline.kubeflow.compiler.workers import with_launchers
from restem.pipeline.kubeflow.container.training_job import TRAINING_JOB, manifest_for
from tests.pipeline.kubeflow.conftest import IMAGE


@pytest.fixture
def config(configured):
    return in_the_cluster(
        configured("train.workers=4", "kubeflow.service_account=trainer", "kubeflow.image_pull_policy=Always")
    )


def variables(executor):
    return {each["name"]: each["value"] for each in executor["container"].get("env", [])}


@pytest.mark.parametrize("step", ["Trainer", "Baseline", "Pretrain"])
def test_every_training_step_starts_its_workers_and_no_other_step(config, step):
    assert TRAINING_JOB in variables(_executor(step, {"image": IMAGE}, config))
    assert TRAINING_JOB not in variables(_executor("Transform", {"image": IMAGE}, config))


def test_one_worker_needs_no_job(configured):
    one = _executor("Trainer", {"image": IMAGE}, in_the_cluster(configured()))
    assert TRAINING_JOB not in variables(one)
    assert one["container"]["resources"]["accelerator"]["resourceCount"] == "1"


def test_the_workers_have_what_the_steps_pod_would_have(config):
    plan = json.loads(variables(_executor("Trainer", {"image": "own/image:gpu"}, config))[TRAINING_JOB])
    assert (plan["folder"], plan["retries"]) == ("/mnt/restem/training/parts", 5)
    manifest = manifest_for(plan["job"], "restem-1", "/mnt/restem/training/parts/restem-1")
    assert (manifest["apiVersion"], manifest["kind"]) == ("kubeflow.org/v1", "TFJob")
    assert manifest["spec"]["runPolicy"]["activeDeadlineSeconds"] == 7200
    worker = manifest["spec"]["tfReplicaSpecs"]["Worker"]
    assert (worker["replicas"], worker["restartPolicy"]) == (4, "ExitCode")
    pod = worker["template"]["spec"]
    (container,) = pod["containers"]
    assert container["name"] == "tensorflow", "the operator finds the container by this name"
    assert container["image"] == "own/image:gpu"
    assert container["imagePullPolicy"] == "Always"
    assert container["command"][-2:] == [
        "restem.pipeline.kubeflow.container.worker",
        "/mnt/restem/training/parts/restem-1",
    ]
    assert container["resources"] == {
        "requests": {"cpu": "1", "memory": "16Gi"},
        "limits": {"nvidia.com/gpu": "1"},
    }
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert environment["RESTEM_CHECKPOINT_FOLDER"] == "/mnt/restem/checkpoints/parts"
    assert TRAINING_JOB not in environment, "a worker starts no workers"
    (mount,), (volume,) = container["volumeMounts"], pod["volumes"]
    assert (mount["name"], mount["mountPath"]) == (volume["name"], "/mnt/restem")
    assert volume["persistentVolumeClaim"] == {"claimName": "restem"}
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["imagePullSecrets"] == [{"name": "registry-login"}]
    assert pod["serviceAccountName"] == "trainer"


def test_the_steps_own_pod_takes_no_gpu_and_keeps_its_retries(config):
    resources = _executor("Trainer", {"image": IMAGE}, config)["container"]["resources"]
    assert resources == {"resourceCpuRequest": "250m", "resourceMemoryRequest": "512Mi"}
    kubeflow = with_launchers(config)
    assert kubeflow.of_step("Trainer").retry.count == 5
    platform = platform_spec(kubeflow, {"Trainer": "exec-trainer"})
    executor = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-trainer"]
    assert "nodeSelector" not in executor
    assert "tolerations" not in executor
    assert executor["pvcMount"][0]["mountPath"] == "/mnt/restem"
    assert executor["activeDeadlineSeconds"] == "7200"


def test_workers_without_a_volume_are_refused(configured):
    with pytest.raises(ConfigError) as caught:
        in_the_cluster(
            configured(
                "train.workers=2",
                "kubeflow.volumes=[]",
                "data.path=gs://b/i",
                "push.destination=gs://b/m",
                "model.weights=none",
            )
        )
    assert [problem.key for problem in caught.value.problems] == [("train", "workers")]
