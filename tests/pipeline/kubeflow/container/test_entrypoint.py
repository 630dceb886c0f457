"""The entrypoint with a call from Kubeflow's launcher, and for each repair a test that TFX still needs it.

If a test named `..._without_...` no longer passes, its repair can be removed.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tfx.dsl.io import fileio
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

from restem.example_gen.artifacts import Quarantine
from restem.pipeline.kubeflow.compiler.compile import COMMAND
from restem.pipeline.kubeflow.container import entrypoint

REPOSITORY = Path(__file__).parents[4]
EXAMPLES = {"instanceSchema": "title: tfx.Examples\ntype: object\nproperties:\n  split_names: {type: string}\n"}
MODEL = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
DECLARED = {"artifacts": {"examples": {"artifactType": EXAMPLES}}, "parameters": {"name": {"parameterType": "STRING"}}}


@pytest.fixture
def call(tmp_path):
    """The launcher's value for {{$}}: an input without a type, an output with its type, and an output for the log."""
    given = tmp_path / "minio" / "mlpipeline" / "in"
    given.mkdir(parents=True)
    (given / "text").write_text("hello")
    out = tmp_path / "minio" / "mlpipeline" / "out"
    return {
        "inputs": {
            "parameterValues": {"name": "digits"},
            "artifacts": {
                "examples": {
                    "artifacts": [
                        {
                            "name": "17",
                            "uri": "minio://mlpipeline/in",
                            "customPath": str(given),
                            "metadata": {"split_names": '["train"]', "display_name": "examples", "span": 3.0},
                        }
                    ]
                }
            },
        },
        "outputs": {
            "artifacts": {
                "model": {
                    "artifacts": [
                        {
                            "name": "model",
                            "type": MODEL,
                            "uri": "minio://mlpipeline/out/model",
                            "customPath": str(out / "model"),
                        }
                    ]
                },
                "executor-logs": {
                    "artifacts": [
                        {
                            "name": "executor-logs",
                            "type": {"schemaTitle": "system.Artifact"},
                            "uri": "minio://mlpipeline/out/executor-logs",
                        }
                    ]
                },
            },
            "outputFile": str(out / "output_metadata.json"),
        },
    }


def options(call, executor="tests.pipeline.kubeflow.tiny_step.Executor"):
    return argparse.Namespace(
        executor_class_path=executor,
        json_serialized_invocation_args=json.dumps(call),
        json_serialized_inputs_spec_args=json.dumps(DECLARED),
    )


def tfx_alone(call):
    """Runs TFX's own entrypoint with a call that the test has repaired in part."""
    os.makedirs(os.path.dirname(call["outputs"]["outputFile"]), exist_ok=True)
    kubeflow_v2_run_executor.main((options(call), []))


def repaired(call):
    return entrypoint.repair_call(json.loads(json.dumps(call)), DECLARED["artifacts"])[0]


def test_a_step_runs_on_the_launchers_call_and_answers_in_remote_uris(call, tmp_path):
    entrypoint.run_step(options(call), [])
    model = tmp_path / "minio" / "mlpipeline" / "out" / "model"
    found = json.loads((model / "found.json").read_text())
    assert found["input"] == ["Examples", str(tmp_path / "minio" / "mlpipeline" / "in"), '["train"]']
    assert found["output"] == ["Model", str(model)]
    assert found["outputs"] == ["model"]
    assert found["folder"], "the output's folder must exist before the executor starts"
    assert found["properties"] == {"name": "digits"}
    assert found["text"] == "hello"
    text = Path(call["outputs"]["outputFile"]).read_text()
    (artifact,) = json.loads(text)["artifacts"]["model"]["artifacts"]
    assert artifact["uri"] == "minio://mlpipeline/out/model"
    assert artifact["metadata"]["written"] == "minio://mlpipeline/out/model/found.json"
    assert artifact["metadata"]["trained_on"] == "minio://mlpipeline/in"
    assert "nothing" not in artifact["metadata"]
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("artifact", "path"),
    [
        ({"uri": "minio://mlpipeline/v2/a"}, "/minio/mlpipeline/v2/a"),
        ({"uri": "s3://bucket/a"}, "/s3/bucket/a"),
        ({"uri": "gs://bucket/a"}, "/gcs/bucket/a"),
        ({"uri": "minio://mlpipeline/a", "customPath": "/elsewhere/a"}, "/elsewhere/a"),
        ({"uri": "/mnt/a"}, "/mnt/a"),
    ],
)
def test_the_local_path_of_an_artifact(artifact, path):
    assert entrypoint.local_path(artifact) == path


def test_dataflow_reads_and_writes_in_its_bucket(call):
    text = json.dumps(call).replace("minio://mlpipeline", "gs://bucket")
    whole, remote = entrypoint.repair_call(json.loads(text), DECLARED["artifacts"], in_place="gs://")
    assert whole["inputs"]["artifacts"]["examples"]["artifacts"][0]["uri"] == "gs://bucket/in"
    assert whole["outputs"]["artifacts"]["model"]["artifacts"][0]["uri"] == "gs://bucket/out/model"
    assert all(here == there for here, there in remote.items())
    # For every other store the launcher copies the files.
    whole, _ = entrypoint.repair_call(json.loads(json.dumps(call)), DECLARED["artifacts"], in_place="gs://")
    assert whole["outputs"]["artifacts"]["model"]["artifacts"][0]["uri"].endswith("minio/mlpipeline/out/model")


@pytest.mark.parametrize(
    ("executor", "beam"),
    [
        ("restem.example_gen.executor.Executor", True),
        ("restem.transform.executor.Executor", True),
        ("restem.evaluator.executor.Executor", True),
        ("tfx.components.trainer.executor.GenericExecutor", False),
        ("restem.pusher.executor.Executor", False),
    ],
)
def test_which_steps_run_on_beam(executor, beam):
    assert entrypoint.runs_on_beam(executor) is beam


def test_without_the_inputs_type_tfx_fails(call):
    whole = repaired(call)
    del whole["inputs"]["artifacts"]["examples"]["artifacts"][0]["type"]
    with pytest.raises(UnboundLocalError):  # no branch in TFX for an artifact without a type
        tfx_alone(whole)


def test_without_dropping_the_log_output_tfx_fails(call):
    whole = repaired(call)
    whole["outputs"]["artifacts"]["executor-logs"] = call["outputs"]["artifacts"]["executor-logs"]
    with pytest.raises(ImportError, match="system"):
        tfx_alone(whole)


def test_without_local_paths_tfx_cannot_read(call):
    with pytest.raises(Exception, match="minio"):
        fileio.exists(call["inputs"]["artifacts"]["examples"]["artifacts"][0]["uri"])


def test_without_repair_tfxs_answer_has_local_uris_and_nulls_and_the_folder_is_missing(call, tmp_path):
    whole = repaired(call)
    tfx_alone(whole)
    text = Path(call["outputs"]["outputFile"]).read_text()
    (artifact,) = json.loads(text)["artifacts"]["model"]["artifacts"]
    assert artifact["uri"].startswith(str(tmp_path))
    assert artifact["metadata"]["nothing"] is None
    found = json.loads((tmp_path / "minio" / "mlpipeline" / "out" / "model" / "found.json").read_text())
    assert not found["folder"]


def test_without_registration_tfx_cannot_import_our_artifact_types(monkeypatch):
    from tfx.orchestration.kubeflow.v2 import compiler_utils
    from tfx.utils import import_utils

    monkeypatch.setattr(compiler_utils, "TITLE_TO_CLASS_PATH", dict(compiler_utils.TITLE_TO_CLASS_PATH))
    compiler_utils.TITLE_TO_CLASS_PATH.pop(Quarantine.TYPE_NAME, None)
    with pytest.raises(ImportError):
        import_utils.import_class_by_path(Quarantine.TYPE_NAME)
    entrypoint.register_artifact_types()
    assert import_utils.import_class_by_path(compiler_utils.TITLE_TO_CLASS_PATH[Quarantine.TYPE_NAME]) is Quarantine


def test_the_driver_resolves_the_newest_span_before_the_executor_runs(call, tmp_path, monkeypatch):
    """The server ignores the hook that TFX compiles for this."""
    for span in (1, 12):
        (tmp_path / "data" / f"span-{span}").mkdir(parents=True)
        (tmp_path / "data" / f"span-{span}" / "text").write_text("x")
    call["inputs"]["parameterValues"] |= {
        "input_base": str(tmp_path / "data"),
        "input_config": json.dumps({"splits": [{"name": "all", "pattern": "span-{SPAN}/*"}]}),
    }
    outputs = call["outputs"]["artifacts"]
    outputs["examples"] = {"artifacts": [{**outputs["model"]["artifacts"][0], "name": "examples", "type": EXAMPLES}]}
    seen = {}
    monkeypatch.setattr(
        kubeflow_v2_run_executor,
        "main",
        lambda parsed: seen.update(json.loads(Path(call["outputs"]["outputFile"]).read_text())),
    )
    entrypoint.run_step(options(call), [])
    assert seen["parameterValues"]["span"] == 12
    assert "span-12/*" in seen["parameterValues"]["input_config"]


def test_the_embedded_images_are_written_where_the_step_runs(call):
    call["inputs"]["parameterValues"]["input_base"] = "embedded:digits"
    folder = Path(repaired(call)["inputs"]["parameterValues"]["input_base"])
    assert len(list(folder.rglob("*.png"))) == 1797


def test_a_failed_step_ends_with_its_own_error_as_the_last_line(call):
    command = [sys.executable, *COMMAND[1:], "--executor_class_path", "tests.pipeline.kubeflow.tiny_step.Failing"]
    command += [entrypoint.CALL, json.dumps(call), entrypoint.INPUTS_SPEC, json.dumps(DECLARED)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "restem: a/b.png: the label is missing. Add it."
