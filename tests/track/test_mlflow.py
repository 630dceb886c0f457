"""A run in MLflow: in a file, and on a real server on this machine."""

import dataclasses
import logging
import math
import socket
import subprocess
import sys

import pytest
from mlflow import MlflowClient
from pydantic import ValidationError

from restem.run_record import Epoch, ModelInput, ModelRecord, Scores
from restem.track.config import MlflowConfig
from restem.track.mlflow import Tracked, figures, parameters, track


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


EPOCHS = tuple(Epoch("all", e, 1 / e, 0.5 + e / 10, 2.0, 50.0, validation=Scores(9, 0.6, 0.5, 0.7)) for e in (1, 2))
RECORD = ModelRecord(
    "candidate",
    "ResNet50",
    "none",
    ModelInput(8, 8, 1, 1),
    parameters=4,
    train_images=40,
    config={"train": {"seed": 7, "augment": {"noise": 0.0}}, "data": {"path": "x" * 7000}, "tune": None},
    scores={"test": Scores(9, 0.5, 0.4, 0.9)},
)
RUN = Tracked(
    id="abc",
    name="scans",
    models={"candidate": RECORD, "baseline": dataclasses.replace(RECORD, role="baseline", parameters=5)},
    histories={"candidate": EPOCHS, "baseline": ()},
    metrics={"candidate": {"accuracy": 0.75, "auc": math.nan}, "baseline": {"accuracy": 0.5}},
    tags={"restem.approved": "true"},
    files={"index.html": b"<!doctype html>", "model_card.md": b"# Card"},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a database that has the run."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where MLflow keeps the files of runs in such a database
        for _ in range(2):  # a repeated attempt
            track(MlflowConfig(tracking_uri=f"sqlite:///{folder}/mlflow.db"), RUN)
    return folder


def check(uri, folder, experiment):
    client = MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["train.seed"] == "7"
    assert len(run.data.params["data.path"]) == 6000
    assert run.data.tags["restem.approved"] == "true"
    assert run.data.metrics["candidate/accuracy"] == 0.75
    assert run.data.metrics["baseline/accuracy"] == 0.5
    assert run.data.metrics["candidate/test/loss"] == 0.9
    assert "candidate/auc" not in run.data.metrics  # NaN
    curve = client.get_metric_history(run.info.run_id, "candidate/epoch/val_accuracy")
    assert [(point.step, point.value) for point in curve] == [(1, 0.6), (2, 0.6)]
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == set(RUN.files)
    page = client.download_artifacts(run.info.run_id, "index.html", str(folder))
    with open(page, "rb") as file:
        assert file.read() == b"<!doctype html>"


def test_a_run_is_written_to_a_file_once(folder, tmp_path):
    check(f"sqlite:///{folder}/mlflow.db", tmp_path, "scans")


def test_a_run_is_written_to_a_server(folder, tmp_path, monkeypatch):
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(tmp_path / "files")]
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen([*command, *store], stdout=log, stderr=log, cwd=tmp_path)
    # The client repeats what is refused until the server listens.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")
    try:
        track(MlflowConfig(tracking_uri=uri, experiment="served"), RUN)
        check(uri, tmp_path, "served")
    finally:
        server.terminate()
        server.wait(60)


def test_a_tracker_that_fails_is_a_warning(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with caplog.at_level(logging.WARNING):
        track(MlflowConfig(tracking_uri=f"http://127.0.0.1:{free_port()}"), RUN)
    assert "the run was not written to http://127.0.0.1" in caplog.text


QUERY = "https://example.org/?token=secret"


@pytest.mark.parametrize("uri", ["", "mlruns", "file:///runs", "https://me:secret@example.org", "http://[", QUERY])
def test_unusable_addresses_are_refused_without_showing_them(uri):
    with pytest.raises(
        ValidationError, match=r"not an address of MLflow|contains a user, a password or a query"
    ) as refused:
        MlflowConfig(tracking_uri=uri)
    assert "secret" not in refused.value.errors()[0]["msg"]


def test_parameters_and_figures():
    assert parameters({"a": {"b": 1, "c": None}, "d": (1, 2)}) == {"a.b": "1", "d": "(1, 2)"}
    assert figures(RUN)["baseline/parameters"] == 5
