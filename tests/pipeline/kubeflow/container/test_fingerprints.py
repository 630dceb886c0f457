"""The fingerprints of the data and of the pushed models for the server's cache."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from restem.example_gen.config import DataConfig
from restem.pipeline.kubeflow.container.fingerprints import look, wanted

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture
def images(tmp_path) -> Path:
    for name in ("a/1.png", "b/2.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    return tmp_path / "images"


def data(folder: Path) -> dict:
    return DataConfig(path=str(folder)).model_dump(mode="json")


def test_data_is_the_same_until_a_file_changes(images):
    before = look("data", data(images))
    assert look("data", data(images)) == before
    (images / "b" / "3.png").write_bytes(b"x")
    added = look("data", data(images))
    os.utime(images / "a" / "1.png", (1, 1))
    assert len({before, added, look("data", data(images))}) == 3


def test_the_embedded_digits_are_always_the_same():
    assert look("data", {"path": "embedded:digits"}) == "embedded:digits"


def test_models_change_with_a_version_but_not_with_the_files_for_kserve(tmp_path):
    (nothing := tmp_path / "serving").mkdir()
    empty = look("pushed", str(nothing))
    assert look("pushed", str(tmp_path / "missing")) == empty
    (tmp_path / "serving" / "17").mkdir()
    (tmp_path / "serving" / "17" / "saved_model.pb").write_bytes(b"model")
    pushed = look("pushed", str(tmp_path / "serving"))
    (tmp_path / "serving" / "kserve").mkdir()
    (tmp_path / "serving" / "kserve" / "request.json").write_text("{}")
    assert look("pushed", str(tmp_path / "serving")) == pushed != empty


def test_each_step_gets_the_fingerprint_of_what_it_reads(configured):
    plain = wanted(configured("push.destination=/mnt/restem/models"))
    assert {step: key for step, (key, _) in plain.items()} == {"ImageExampleGen": "data", "Pusher": "pushed"}
    more = wanted(
        configured(
            "push.destination=/mnt/restem/models",
            "evaluate.baseline=latest_approved",
            "pretrain.path=/mnt/restem/source",
        )
    )
    assert more["Baseline"] == ("baseline", "/mnt/restem/models")
    assert more["SourceExampleGen"][1]["path"] == "/mnt/restem/source"
    started = wanted(configured("push.destination=/mnt/restem/models", "model.weights=latest_approved", "tune=null"))
    assert started["Trainer"] == ("start", "/mnt/restem/models")
    assert wanted(configured("model.weights=/mnt/restem/old/5", "tune=null"))["Trainer"] == (
        "start",
        "/mnt/restem/old/5",
    )
    assert wanted(configured("evaluate.baseline=/mnt/restem/old"))["Baseline"] == ("baseline", "/mnt/restem/old")


def test_the_step_outputs_parameters_or_an_error(images, tmp_path):
    answer = tmp_path / "answer" / "output_metadata.json"

    def run(folder: Path) -> subprocess.CompletedProcess:
        call = json.dumps({"outputs": {"outputFile": str(answer)}})
        arguments = ["--look", json.dumps({"data": data(folder)}), "--json_serialized_invocation_args", call]
        return subprocess.run(
            [sys.executable, "-m", "restem.pipeline.kubeflow.container.fingerprints", *arguments],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert run(images).returncode == 0
    assert json.loads(answer.read_text()) == {"parameterValues": {"data": look("data", data(images))}}
    failed = run(tmp_path / "nothing")
    assert failed.returncode == 1
    last = failed.stderr.strip().splitlines()[-1]
    assert last.startswith("restem: ")
    assert str(tmp_path / "nothing") in last
