"""The compiled file, checked as a server would check it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from restem.pipeline.kubeflow.compiler.compile import task_name
from tests.pipeline.conftest import LIGHT
from tests.pipeline.kubeflow.conftest import IMAGE, SECRET

REPOSITORY = Path(__file__).parents[4]
STEPS = [
    "Fingerprints",
    "ImageExampleGen",
    "StatisticsGen",
    "ExampleValidator",
    "Transform",
    "Tuner",
    "Trainer",
    "Baseline",
    "Evaluator",
    "Report",
    "Pusher",
]


@pytest.fixture(scope="module")
def documents(compiled):
    return list(yaml.safe_load_all(compiled.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def spec(documents):
    return documents[0]


def test_kubeflows_own_messages_accept_both_documents(documents, compiled):
    spec, platform = documents
    message = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    assert message.schema_version == "2.1.0"
    assert message.pipeline_info.name == "parts"
    for executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        json_format.ParseDict(executor, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    assert components.load_component_from_file(str(compiled)).pipeline_spec == message


def test_the_pusher_removes_old_versions(spec):
    (pusher,) = (task for task in spec["root"]["dag"]["tasks"].values() if task["taskInfo"]["name"] == "Pusher")
    value = pusher["inputs"]["parameters"]["custom_config"]["runtimeValue"]["constant"]
    assert json.loads(value)["keep"] == 3


def test_what_is_compiled_with_secrets_in_the_environment_has_none(compiled):
    text = compiled.read_text(encoding="utf-8")
    assert all(name in text for name in ("HOOK_ADDRESS", "HOOK_SECRET", "MLFLOW_TRACKING_TOKEN"))
    assert SECRET not in text


def test_every_step_is_there_with_a_name_that_kubernetes_accepts(spec):
    tasks = spec["root"]["dag"]["tasks"]
    assert sorted(task["taskInfo"]["name"] for task in tasks.values()) == sorted(STEPS)
    for name, task in tasks.items():
        assert re.fullmatch(r"[a-z]([a-z-]*[a-z])?", name)
        assert task["componentRef"]["name"] == f"comp-{name}"
        assert spec["components"][f"comp-{name}"]["executorLabel"] == f"exec-{name}"
        inputs = task.get("inputs", {})
        sources = [source["taskOutputArtifact"] for source in inputs.get("artifacts", {}).values()]
        for source in sources:
            assert (
                source["outputArtifactKey"]
                in (spec["components"][f"comp-{source['producerTask']}"]["outputDefinitions"]["artifacts"])
            )
        assert {source["producerTask"] for source in sources} <= set(task.get("dependentTasks", []))
        assert set(task.get("dependentTasks", [])) <= set(tasks)


def test_training_steps_find_their_checkpoints_on_the_volume_again(spec):
    folders = {
        name: variable["value"]
        for name, executor in spec["deploymentSpec"]["executors"].items()
        for variable in executor["container"].get("env", [])
        if variable["name"] == "RESTEM_CHECKPOINT_FOLDER"
    }
    assert folders == dict.fromkeys(["exec-tuner", "exec-trainer", "exec-baseline"], "/mnt/restem/checkpoints/parts")


def test_no_unsupported_field_no_local_path_and_no_null(compiled, documents):
    text = compiled.read_text(encoding="utf-8")
    for word in ("resolver", "constantValue", "runtimeParameter", "lifecycle", "preCacheCheck"):
        assert word not in text
    for path in (str(REPOSITORY), str(compiled.parent), str(Path.home()), sys.prefix):
        assert path not in text
    assert list(_nulls(documents)) == []


def _nulls(node, path=""):
    if node is None:
        yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from _nulls(value, f"{path}/{key}")


def test_every_image_is_the_configured_one_and_starts_the_entrypoint(spec):
    containers = [executor["container"] for executor in spec["deploymentSpec"]["executors"].values()]
    assert {container["image"] for container in containers} == {IMAGE}
    assert {tuple(container["command"]) for container in containers} == {
        ("python", "-m", "restem.pipeline.kubeflow.container.entrypoint"),
        ("python", "-m", "restem.pipeline.kubeflow.container.fingerprints"),
    }


def test_paths_are_on_the_volume(spec):
    tasks = spec["root"]["dag"]["tasks"]
    parameters = tasks["image-example-gen"]["inputs"]["parameters"]
    assert parameters["input_base"]["runtimeValue"]["constant"] == "/mnt/restem/images"
    pushed = tasks["pusher"]["inputs"]["parameters"]["push_destination"]["runtimeValue"]["constant"]
    assert "/mnt/restem/serving/parts" in pushed


def test_steps_that_read_outside_the_store_are_cached_by_a_fingerprint(spec):
    tasks = spec["root"]["dag"]["tasks"]
    cached = {name for name, task in tasks.items() if task["cachingOptions"].get("enableCache")}
    assert cached == {task_name(step) for step in STEPS} - {"fingerprints"}
    looked = {}
    for name, task in tasks.items():
        source = task.get("inputs", {}).get("parameters", {}).get("fingerprint", {}).get("taskOutputParameter")
        if source:
            assert source["producerTask"] == "fingerprints"
            assert "fingerprints" in task["dependentTasks"]
            looked[name] = source["outputParameterKey"]
    # A stock baseline reads nothing outside the store.
    assert looked == {"image-example-gen": "data", "pusher": "pushed"}
    (arguments,) = [
        executor["container"]["args"]
        for name, executor in spec["deploymentSpec"]["executors"].items()
        if name == "exec-fingerprints"
    ]
    look = json.loads(arguments[arguments.index("--look") + 1])
    assert (look["data"]["path"], look["pushed"]) == ("/mnt/restem/images", "/mnt/restem/serving/parts")


def test_each_step_has_its_own_retries_resources_and_platform_settings(documents):
    spec, platform = documents
    tasks, executors = spec["root"]["dag"]["tasks"], spec["deploymentSpec"]["executors"]
    assert tasks["trainer"]["retryPolicy"] == {
        "maxRetryCount": 5,
        "backoffDuration": "60s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": "604800s",
    }
    assert tasks["transform"]["retryPolicy"]["maxRetryCount"] == 2
    assert "retryPolicy" not in tasks["report"]
    assert executors["exec-trainer"]["container"]["resources"] == {
        "resourceCpuRequest": "1",
        "resourceMemoryRequest": "16Gi",
        "accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "1"},
    }
    assert "accelerator" not in executors["exec-transform"]["container"]["resources"]
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(kubernetes) == set(executors)
    for executor in kubernetes.values():
        (mount,) = executor["pvcMount"]
        assert (mount["constant"], mount["mountPath"]) == ("restem", "/mnt/restem")
        assert executor["imagePullSecret"][0]["secretName"] == "registry-login"
        assert executor["activeDeadlineSeconds"] == "7200"
    assert kubernetes["exec-trainer"]["nodeSelector"] == {"labels": {"pool": "gpu"}}
    assert kubernetes["exec-trainer"]["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert "tolerations" not in kubernetes["exec-pusher"]


def test_tfx_command_line_compiles_the_same_bytes_and_no_secret(compiled, tmp_path):
    """With another process, hash seed and folder, and with secrets in the environment."""
    environment = {
        **os.environ,
        "RESTEM_CONFIG": str(compiled.parent / "parts.yaml"),
        "RESTEM_OUT": str(tmp_path / "pipeline.yaml"),
        "RESTEM_KUBEFLOW_TOKEN": "s3cr3t-t0ken",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t-k3y",
        "PYTHONHASHSEED": "7",
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    runner = REPOSITORY / "pipeline" / "kubeflow_runner.py"
    done = subprocess.run(
        [Path(sys.executable).with_name("tfx"), "pipeline", "compile", "--engine=vertex", f"--pipeline_path={runner}"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "compiled successfully" in done.stdout
    text = (tmp_path / "pipeline.yaml").read_text(encoding="utf-8")
    assert text == compiled.read_text(encoding="utf-8")
    assert "s3cr3t" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x.json"], "a name ending in .yaml"),
        (["--out", "x.yaml"], "the steps have no image"),
        (["--out", "x.yaml", "--set", "image.bands=[a, a]"], "different names"),
    ],
)
def test_mistakes_are_reported_before_tfx_is_loaded(tmp_path, arguments, message):
    (tmp_path / "c.yaml").write_text("data: {path: images}\nimage: {size: 8}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, "compile", "--config", "c.yaml", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml"]
