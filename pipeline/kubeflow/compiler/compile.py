"""The same pipeline as a specification for Kubeflow Pipelines v2: two YAML documents in one file.

TFX's own compiler makes the first (its command line for Kubeflow has not worked since TFX 1.16); what the open-source
server wants otherwise is changed here, each change beside its reason.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from restem.pipeline.config import Config
from restem.pipeline.kubeflow.compiler.paths import in_the_cluster
from restem.pipeline.kubeflow.compiler.platform import platform_spec, resources, retry_policy
from restem.pipeline.kubeflow.container import fingerprints
from restem.pipeline.kubeflow.container.entrypoint import CALL

COMMAND = ("python", "-m", "restem.pipeline.kubeflow.container.entrypoint")


def compile_pipeline(config: Config) -> str:
    """The YAML text for a configuration; the same for the same configuration and code.

    The root that the steps' outputs go to is the server's affair; the one given here names no folder.
    """
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as tfx_runner

    from restem.pipeline.pipeline import create_pipeline

    config = in_the_cluster(config)
    runner = tfx_runner.KubeflowV2DagRunner(runner_config(config))
    return to_yaml(runner.run(create_pipeline(config, root="/"), write_out=False), config)


def runner_config(config: Config) -> Any:
    """TFX's settings for its compiler: images, our entrypoint, and the only version of the format that is taken."""
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as tfx_runner
    from tfx.orchestration.kubeflow.v2.pipeline_builder import DEFAULT_IMAGE_PATH_KEY

    images = {step: own.image for step, own in config.kubeflow.steps.items() if own.image}
    return tfx_runner.KubeflowV2DagRunnerConfig(
        default_image={**images, DEFAULT_IMAGE_PATH_KEY: config.kubeflow.image},
        default_commands=list(COMMAND),
        use_pipeline_spec_2_1=True,
    )


def to_yaml(job: dict[str, Any], config: Config) -> str:
    """The two documents of what TFX's compiler made.

    Args:
        job: the PipelineJob as plain data.
        config: as the steps see it (`in_the_cluster`).
    """
    import yaml

    spec = adapt(job["pipelineSpec"], config)
    labels = {
        task["taskInfo"]["name"]: spec["components"][task["componentRef"]["name"]]["executorLabel"]
        for task in spec["root"]["dag"]["tasks"].values()
    }
    documents = [spec, platform_spec(config.kubeflow, labels)]
    check(*documents)
    # The second document is left out where it is empty, as Kubeflow's own compiler does.
    text = yaml.safe_dump_all([document for document in documents if document], sort_keys=True, width=120)
    return f"# The pipeline {config.name} for Kubeflow Pipelines 2: made by restem compile, not to be edited.\n{text}"


def adapt(spec: dict[str, Any], config: Config) -> dict[str, Any]:
    """The specification with names, caching, resources and retries as the open-source server takes them."""
    tasks, components = spec["root"]["dag"]["tasks"], spec["components"]
    executors = spec["deploymentSpec"]["executors"]
    adapted = {key: value for key, value in spec.items() if key not in ("components", "deploymentSpec", "root")}
    adapted |= {"components": {}, "deploymentSpec": {"executors": {}}, "root": {"dag": {"tasks": {}}}}
    for step, task in tasks.items():
        name = task_name(step)
        component = components[task["componentRef"]["name"]]
        container = executors[component["executorLabel"]]["container"]
        # The hook in which TFX would resolve spans; the server ignores it, our entrypoint does it.
        container.pop("lifecycle", None)
        adapted["deploymentSpec"]["executors"][f"exec-{name}"] = _executor(step, container, config)
        # Kubeflow's tools take five letters off a component's name: they must be these.
        adapted["components"][f"comp-{name}"] = {**component, "executorLabel": f"exec-{name}"}
        adapted["root"]["dag"]["tasks"][name] = {
            **task,
            "componentRef": {"name": f"comp-{name}"},
            "inputs": _renamed(task.get("inputs", {})),
            "dependentTasks": sorted(map(task_name, task.get("dependentTasks", []))),
            # A run from an uploaded version cannot say it: it has to stand here.
            "cachingOptions": {"enableCache": True} if config.kubeflow.caching else {},
            **_retries(step, config),
        }
    if config.kubeflow.caching:
        _look_first(adapted, config)
    if config.kubeflow.pipeline_root:
        adapted["defaultPipelineRoot"] = config.kubeflow.pipeline_root
    return adapted


def _executor(step: str, container: dict[str, Any], config: Config) -> dict[str, Any]:
    asked = resources(config.kubeflow.of_step(step))
    return {"container": {**container, **({"resources": asked} if asked else {})}}


def _retries(step: str, config: Config) -> dict[str, Any]:
    retry = config.kubeflow.of_step(step).retry
    return {"retryPolicy": retry_policy(retry)} if retry.count else {}


def _look_first(spec: dict[str, Any], config: Config) -> None:
    """Adds the step that looks at what the server's cache does not see."""
    tasks, name = spec["root"]["dag"]["tasks"], task_name(fingerprints.STEP)
    wanted = {task_name(step): what for step, what in fingerprints.wanted(config).items() if task_name(step) in tasks}
    fingerprints.add_step(tasks, spec["components"], name, {task: key for task, (key, _) in wanted.items()})
    tasks[name] |= _retries(fingerprints.STEP, config)
    own = config.kubeflow.steps.get(fingerprints.STEP)
    container = {
        "image": (own and own.image) or config.kubeflow.image,
        "command": ["python", "-m", fingerprints.MODULE],
        "args": ["--look", json.dumps(dict(wanted.values()), sort_keys=True), CALL, "{{$}}"],
    }
    spec["deploymentSpec"]["executors"][f"exec-{name}"] = _executor(fingerprints.STEP, container, config)


def task_name(step: str) -> str:
    """ImageExampleGen -> image-example-gen: names of pods are small letters, digits and hyphens."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", step).lower()


def _renamed(inputs: dict[str, Any]) -> dict[str, Any]:
    artifacts = {
        key: {
            "taskOutputArtifact": {
                **source["taskOutputArtifact"],
                "producerTask": task_name(source["taskOutputArtifact"]["producerTask"]),
            }
        }
        for key, source in inputs.get("artifacts", {}).items()
    }
    return {**inputs, "artifacts": artifacts} if artifacts else inputs


def check(spec: dict[str, Any], platform: dict[str, Any]) -> None:
    """Parses both documents into Kubeflow's own messages, which know every field there is.

    Raises:
        google.protobuf.json_format.ParseError: a field is unknown or has the wrong type.
    """
    from google.protobuf import json_format
    from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
    from kfp.pipeline_spec import pipeline_spec_pb2

    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    for executor in _platform_executors(platform):
        json_format.ParseDict(executor, kubernetes.KubernetesExecutorConfig())


def _platform_executors(platform: dict[str, Any]) -> Iterable[dict[str, Any]]:
    spec = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
    return spec.get("executors", {}).values()
