"""A step with several workers, against an API on loopback that speaks as Kubernetes does."""

import json
import os
import signal
from pathlib import Path

import pytest

from restem.errors import RestemError
from restem.pipeline.kubeflow.container import entrypoint, training_job, worker
from restem.pipeline.kubeflow.container.training_job import TRAINING_JOB, run_training_job
from tests.pipeline.kubeflow.container.fake_cluster import NAMESPACE, FakeCluster
from tests.pipeline.kubeflow.container.test_entrypoint import DECLARED, EXAMPLES, MODEL

TINY = "tests.pipeline.kubeflow.tiny_step.Executor"


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setenv("POD_NAMESPACE", NAMESPACE)
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def plan(tmp_path):
    pod = {"spec": {"containers": [{"name": "tensorflow", "image": "i"}]}}
    replicas = {"replicas": 2, "restartPolicy": "ExitCode", "template": pod}
    return {
        "folder": str(tmp_path / "volume" / "training" / "parts"),
        "retries": 1,
        "job": {
            "apiVersion": "kubeflow.org/v1",
            "kind": "TFJob",
            "spec": {"tfReplicaSpecs": {"Worker": replicas}},
        },
    }


@pytest.fixture
def call(tmp_path):
    """A repaired call: an input and an output in the step's own container."""
    given, out = tmp_path / "minio" / "in", tmp_path / "minio" / "out"
    given.mkdir(parents=True)
    (given / "text").write_text("hello")
    out.mkdir()
    example = {"name": "17", "uri": str(given), "type": EXAMPLES, "metadata": {"split_names": '["train"]'}}
    model = {"name": "model", "uri": str(out / "model"), "type": MODEL}
    return {
        "inputs": {
            "parameterValues": {"name": "digits"},
            "artifacts": {"examples": {"artifacts": [example]}},
        },
        "outputs": {
            "artifacts": {"model": {"artifacts": [model]}},
            "outputFile": str(out / "output_metadata.json"),
        },
    }


@pytest.fixture
def run(cluster, plan, call):
    waits = []

    def run(wait=waits.append):
        run_training_job(plan, call, ["--executor_class_path", TINY], api=cluster.api(), wait=wait)
        return waits

    return run


def folder_of(job):
    return job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]["command"][-1]


def write_outputs(job):
    """What worker 0 leaves in the folder."""
    folder = Path(folder_of(job))
    call = json.loads((folder / "call.json").read_text())["call"]
    (uri,) = (artifact["uri"] for artifact in call["outputs"]["artifacts"]["model"]["artifacts"])
    Path(uri).mkdir()
    (Path(uri) / "weights").write_text(
        Path(call["inputs"]["artifacts"]["examples"]["artifacts"][0]["uri"], "text").read_text()
    )
    Path(call["outputs"]["outputFile"]).write_text(json.dumps({"at": f"{uri}/weights"}))


def test_a_job_is_created_followed_and_removed_and_its_outputs_arrive(cluster, run, call, plan, tmp_path, capsys):
    cluster.on_create = write_outputs

    def says(stamp, line):
        def poll(name):
            cluster.add_pod(name, 0, "a")
            cluster.logs.setdefault(f"{name}-worker-0", []).append((stamp, line))

        return poll

    cluster.polls = [
        lambda name: None,  # no pod yet
        says("2026-01-01T00:00:00.5Z", "epoch 1"),
        says("2026-01-01T00:00:00.500000001Z", "epoch 2"),
        cluster.end("Succeeded"),
    ]
    waits = run()
    out = Path(call["outputs"]["artifacts"]["model"]["artifacts"][0]["uri"])
    assert (out / "weights").read_text() == "hello"
    answer = json.loads(Path(call["outputs"]["outputFile"]).read_text())
    assert answer == {"at": f"{out}/weights"}
    assert cluster.jobs == {}
    assert list(Path(plan["folder"]).iterdir()) == []
    assert len(waits) == 3
    log = capsys.readouterr().err
    assert log.count("epoch 1\n") == log.count("epoch 2\n") == 1


def test_a_failed_job_gives_the_end_of_the_failing_workers_log(cluster, run):
    def fails(name):
        cluster.add_pod(name, 0, "a", code=138)
        cluster.add_pod(name, 1, "b", code=1)
        cluster.pods.reverse()
        cluster.logs[f"{name}-worker-1"] = [("t", "first"), *[("t", "x")] * 14, ("t", "restem: too little memory")]
        cluster.end("Failed", "worker 1 failed")(name)

    cluster.polls = [fails]
    with pytest.raises(RestemError) as failed:
        run()
    message = str(failed.value)
    assert "worker 1 failed" in message
    assert "-worker-1 ended with code 1" in message
    assert "too little memory" in message
    assert "first" not in message
    assert cluster.jobs == {}


def test_a_retry_takes_over_the_running_job_and_what_it_has_copied(cluster, run, call, tmp_path):
    """The first attempt is killed without a chance to remove the job."""
    cluster.on_create = write_outputs

    class Killed(BaseException):
        pass

    def killed(_seconds):
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_job.TrainingJob, "delete", lambda self: None)
        with pytest.raises(Killed):
            run(killed)
    (name,) = cluster.jobs
    (tmp_path / "minio" / "in" / "text").write_text("downloaded again")
    cluster.polls = [cluster.end("Succeeded")]
    run()
    assert [path for method, path in cluster.requests if method == "DELETE"] == [
        f"/apis/kubeflow.org/v1/namespaces/team/tfjobs/{name}"
    ]
    assert (Path(call["outputs"]["artifacts"]["model"]["artifacts"][0]["uri"]) / "weights").read_text() == "hello"


def test_a_failed_job_of_an_earlier_attempt_is_replaced(cluster, run):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_job.TrainingJob, "delete", lambda self: None)
        cluster.polls = [cluster.end("Failed", "once")]
        with pytest.raises(RestemError, match="once"):
            run()
    assert len(cluster.jobs) == 1
    created = []
    cluster.on_create = lambda job: (created.append(job), write_outputs(job))
    cluster.polls = [lambda name: None, cluster.end("Succeeded")]
    run()
    assert len(created) == 1


def test_sigterm_removes_the_job_and_its_checkpoints_stay(cluster, run, tmp_path):
    with pytest.raises(SystemExit) as ended:
        run(lambda _seconds: os.kill(os.getpid(), signal.SIGTERM))
    assert ended.value.code == 143
    assert cluster.jobs == {}
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_workers_that_end_again_and_again_end_the_step(cluster, run):
    uids = iter("abcdef")
    cluster.polls = [lambda name: cluster.add_pod(name, 1, next(uids), code=137)]
    with pytest.raises(RestemError, match=r"worker 1 was started 3 times.*ended with code 137"):
        run()


def test_an_api_that_fails_for_a_while_is_asked_again(cluster, run):
    cluster.on_create = write_outputs

    def fails(name):
        cluster.broken = 5

    cluster.polls = [fails, cluster.end("Succeeded")]
    assert len(run()) >= 2


def test_a_deleted_job_fails_the_step(cluster, run):
    cluster.polls = [lambda name: cluster.jobs.pop(name)]
    with pytest.raises(RestemError, match="it was deleted"):
        run()


@pytest.mark.parametrize(
    ("status", "remedy"), [(403, "role in pipeline/kubeflow/README.md"), (404, "training operator")]
)
def test_a_refused_job_says_what_to_do(cluster, run, status, remedy):
    cluster.refuse = [status]
    with pytest.raises(RestemError, match=rf"{status}: no(.|\n)*{remedy}"):
        run()


def test_a_step_runs_on_two_workers_from_the_launchers_call_to_its_answer(cluster, plan, tmp_path, monkeypatch):
    """The pods' process runs here, once for each worker: only number 0 writes the step's outputs."""
    given, out = tmp_path / "minio" / "in", tmp_path / "minio" / "out"
    given.mkdir(parents=True)
    (given / "text").write_text("hello")
    example = {"name": "17", "uri": "minio://in", "customPath": str(given), "metadata": {"split_names": '["train"]'}}
    model = {"name": "model", "type": MODEL, "uri": "minio://out/model", "customPath": str(out / "model")}
    call = {
        "inputs": {"parameterValues": {"name": "digits"}, "artifacts": {"examples": {"artifacts": [example]}}},
        "outputs": {
            "artifacts": {"model": {"artifacts": [model]}},
            "outputFile": str(out / "output_metadata.json"),
        },
    }
    codes = []

    def pods(job):
        for index in (1, 0):
            monkeypatch.setenv("TF_CONFIG", json.dumps({"task": {"type": "worker", "index": index}}))
            codes.append(worker.run(folder_of(job)))

    cluster.on_create = pods
    cluster.polls = [cluster.end("Succeeded")]
    monkeypatch.setattr(training_job, "_client", cluster.api)
    monkeypatch.setenv(TRAINING_JOB, json.dumps(plan))
    options, beam = entrypoint._parse(
        [
            "--executor_class_path",
            TINY,
            entrypoint.CALL,
            json.dumps(call),
            entrypoint.INPUTS_SPEC,
            json.dumps(DECLARED),
        ]
    )
    entrypoint.run_step(options, beam)
    assert codes == [0, 0]
    found = json.loads((out / "model" / "found.json").read_text())
    assert (found["text"], found["input"][0]) == ("hello", "Examples")
    (artifact,) = json.loads((out / "output_metadata.json").read_text())["artifacts"]["model"]["artifacts"]
    assert artifact["uri"] == "minio://out/model"
    assert artifact["metadata"]["written"] == "minio://out/model/found.json"


def test_a_worker_ends_with_the_code_that_the_operator_needs(plan, call, tmp_path, monkeypatch, capsys):
    training_job.share(call, ["--executor_class_path", "tests.pipeline.kubeflow.tiny_step.Failing"], tmp_path / "f")
    assert worker.run(str(tmp_path / "f")) == 1
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("restem: ")

    def lost(*_):
        raise SystemExit(138)

    monkeypatch.setattr(entrypoint, "execute", lost)
    assert worker.run(str(tmp_path / "f")) == 138
