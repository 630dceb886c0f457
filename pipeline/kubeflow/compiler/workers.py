"""Several machines for a training step (`train.workers`): the job that the step starts, and what is left for the step.

The job is a TFJob of Kubeflow's training operator (kubeflow.org/v1). Its pods have what the step's own pod would have:
image, resources, nodes, volumes, secrets, environment.
"""

from typing import Any

from restem.pipeline.config import Config
from restem.pipeline.config.kubeflow import KubeflowConfig, StepConfig
from restem.pipeline.kubeflow.compiler.platform import GPU
from restem.trainer.variables import TRAINING_STEPS

API_VERSION = "kubeflow.org/v1"
CONTAINER = "tensorflow"  # the name by which the operator finds the container
PORT = {"name": "tfjob-port", "containerPort": 2222}  # the operator's own default


def training_job(config: Config, step: str, image: str, env: list[dict[str, str]]) -> dict[str, Any] | None:
    """What the step's entrypoint needs to start the workers: `folder`, `retries` and `job`; None for one machine.

    Args:
        config: the result of `in_the_cluster`.
        step: the name of the step.
        image: the step's image.
        env: its environment variables.
    """
    if config.train.workers == 1 or step not in TRAINING_STEPS:
        return None
    own = config.kubeflow.of_step(step)
    return {
        "folder": f"{config.kubeflow.volumes[0].mount}/training/{config.name}",
        "retries": own.retry.count,
        "job": {
            "apiVersion": API_VERSION,
            "kind": "TFJob",
            "spec": {
                "runPolicy": {
                    "cleanPodPolicy": "Running",
                    **({"activeDeadlineSeconds": own.timeout_seconds} if own.timeout_seconds else {}),
                },
                "tfReplicaSpecs": {
                    "Worker": {
                        "replicas": config.train.workers,
                        # Codes above 127 (killed, or another worker was) start the pod again; others end the job.
                        "restartPolicy": "ExitCode",
                        "template": _pod(config.kubeflow, own, image, env),
                    }
                },
            },
        },
    }


def launcher(own: StepConfig) -> StepConfig:
    """The resources of a step that only waits for its workers."""
    kept = own.model_dump(include={"timeout_seconds", "image"})
    return StepConfig(
        cpu="250m", memory="512Mi", gpus=0, node_selector={}, tolerations=(), **kept, **{"retry": own.retry}
    )


def with_launchers(config: Config) -> KubeflowConfig:
    """The section for the steps' own pods: those of the training steps are launchers, if there are several workers."""
    kubeflow = config.kubeflow
    if config.train.workers == 1:
        return kubeflow
    steps = {**kubeflow.steps, **{step: launcher(kubeflow.of_step(step)) for step in TRAINING_STEPS}}
    return kubeflow.model_copy(update={"steps": steps})


def _pod(kubeflow: KubeflowConfig, own: StepConfig, image: str, env: list[dict[str, str]]) -> dict[str, Any]:
    container: dict[str, Any] = {"name": CONTAINER, "image": image, "env": env, "ports": [PORT]}
    if asked := _resources(own):
        container["resources"] = asked
    if kubeflow.image_pull_policy:
        container["imagePullPolicy"] = kubeflow.image_pull_policy
    mounts = {f"volume-{i}": volume for i, volume in enumerate(kubeflow.volumes)}
    container["volumeMounts"] = [
        {"name": name, "mountPath": volume.mount, **({"subPath": volume.sub_path} if volume.sub_path else {})}
        for name, volume in mounts.items()
    ]
    pod: dict[str, Any] = {
        "containers": [container],
        "volumes": [
            {"name": name, "persistentVolumeClaim": {"claimName": volume.claim}} for name, volume in mounts.items()
        ],
        "tolerations": [
            {
                key: value
                for key, value in {
                    "key": toleration.key,
                    "operator": toleration.operator,
                    "value": toleration.value,
                    "effect": toleration.effect,
                    "tolerationSeconds": toleration.seconds,
                }.items()
                if value is not None
            }
            for toleration in own.tolerations or ()
        ],
        "nodeSelector": dict(own.node_selector or {}),
    }
    if kubeflow.image_pull_secret:
        pod["imagePullSecrets"] = [{"name": kubeflow.image_pull_secret}]
    if kubeflow.service_account:
        pod["serviceAccountName"] = kubeflow.service_account
    # Istio's proxy would stay between the workers, and would keep a finished pod running.
    return {"metadata": {"annotations": {"sidecar.istio.io/inject": "false"}}, "spec": pod}


def _resources(own: StepConfig) -> dict[str, Any]:
    requests = {"cpu": own.cpu, "memory": own.memory}
    limits = {"cpu": own.cpu_limit, "memory": own.memory_limit}
    if own.gpus:
        limits[own.gpu_resource or GPU] = str(own.gpus)
    parts = {"requests": requests, "limits": limits}
    found = {name: {key: value for key, value in part.items() if value} for name, part in parts.items()}
    return {name: part for name, part in found.items() if part}
