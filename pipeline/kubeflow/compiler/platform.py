"""The Kubernetes settings of each step: volumes, resources, nodes, secrets, retries and timeouts.

Resources and retries belong to the pipeline's specification. The rest is in a second document, the platform's, whose
executors have the same labels (kubernetes_platform/proto/kubernetes_executor_config.proto in kubeflow/pipelines).
"""

from collections.abc import Sequence
from typing import Any

from restem.pipeline.config.kubeflow import KubeflowConfig, Retry, StepConfig, Toleration, Volume

GPU = "nvidia.com/gpu"


def resources(step: StepConfig) -> dict[str, Any]:
    """A container's `resources` in the specification; empty if none are set."""
    wanted = {
        "resourceCpuRequest": step.cpu,
        "resourceCpuLimit": step.cpu_limit,
        "resourceMemoryRequest": step.memory,
        "resourceMemoryLimit": step.memory_limit,
    }
    found: dict[str, Any] = {key: value for key, value in wanted.items() if value is not None}
    if step.gpus:
        found["accelerator"] = {"resourceType": step.gpu_resource or GPU, "resourceCount": str(step.gpus)}
    return found


def retry_policy(retry: Retry) -> dict[str, Any]:
    """A task's `retryPolicy`.

    Argo uses `backoffMaxDuration` as the time after the start of the first attempt after which it does not retry. If
    omitted, it is 0, and nothing is ever retried.
    """
    return {
        "maxRetryCount": retry.count,
        "backoffDuration": f"{retry.wait_seconds}s",
        "backoffFactor": retry.factor,
        "backoffMaxDuration": f"{retry.within_seconds}s",
    }


def secret_variables(name: str, variables: Sequence[str]) -> dict[str, Any]:
    """The environment variables that a step gets from a secret, whose keys have their names."""
    from google.protobuf import json_format
    from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes

    config = kubernetes.KubernetesExecutorConfig()
    # The name is set twice because servers before 2.5 know only the first field.
    secret = config.secret_as_env.add(secret_name=name)
    secret.secret_name_parameter.runtime_value.constant.string_value = name
    for variable in variables:
        secret.key_to_env.add(secret_key=variable, env_var=variable)
    return json_format.MessageToDict(config)


def platform_spec(
    kubeflow: KubeflowConfig, steps: dict[str, str], more: dict[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The platform document.

    Args:
        kubeflow: the section.
        steps: executor label by step.
        more: further settings of single steps.

    Returns:
        Plain data; empty if there are no settings.
    """
    executors = {
        label: _executor(kubeflow, kubeflow.of_step(name)) | (more or {}).get(name, {}) for name, label in steps.items()
    }
    executors = {label: config for label, config in executors.items() if config}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}} if executors else {}


def _executor(kubeflow: KubeflowConfig, step: StepConfig) -> dict[str, Any]:
    from google.protobuf import json_format
    from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes

    config = kubernetes.KubernetesExecutorConfig(
        pvc_mount=[_mount(volume) for volume in kubeflow.volumes],
        tolerations=[_toleration(toleration) for toleration in step.tolerations or ()],
        image_pull_policy=kubeflow.image_pull_policy or "",
        active_deadline_seconds=step.timeout_seconds or 0,
    )
    if step.node_selector:
        config.node_selector.labels.update(step.node_selector)
    if kubeflow.image_pull_secret:
        secret = config.image_pull_secret.add(secret_name=kubeflow.image_pull_secret)
        secret.secret_name_parameter.runtime_value.constant.string_value = kubeflow.image_pull_secret
    return json_format.MessageToDict(config)


def _mount(volume: Volume) -> Any:
    from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes

    # The name is set twice because servers before 2.5 know only the first field.
    mount = kubernetes.PvcMount(constant=volume.claim, mount_path=volume.mount, sub_path=volume.sub_path)
    mount.pvc_name_parameter.runtime_value.constant.string_value = volume.claim
    return mount


def _toleration(toleration: Toleration) -> Any:
    from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes

    return kubernetes.Toleration(
        key=toleration.key or "",
        operator=toleration.operator,
        value=toleration.value or "",
        effect=toleration.effect or "",
        toleration_seconds=toleration.seconds,
    )
