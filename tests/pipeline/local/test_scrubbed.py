"""A model of somebody else: it is not loaded unasked, and its process has no credentials."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from restem.baseline.check import problem
from restem.baseline.choice import choose
from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.pipeline.commands.export import export
from restem.pipeline.commands.predict import predict
from restem.pipeline.local import worker
from restem.pipeline.local.scrubbed import scrubbed
from restem.start.choice import choose_start
from restem.trainer import network as network_module
from restem.trainer.continuation import continue_network
from restem.trainer.model_config import StemConfig
from tests.pipeline.local.test_found_model import write_version
from tests.stem import networks
from tests.tiny_model import CLASSES, export_tiny, png

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "s3cr3t-aws",
    "AWS_SESSION_TOKEN": "s3cr3t-session",
    "GOOGLE_APPLICATION_CREDENTIALS": "/s3cr3t/key.json",
    "MLFLOW_TRACKING_TOKEN": "s3cr3t-mlflow",
    "RESTEM_KUBEFLOW_TOKEN": "s3cr3t-kubeflow",
    "RESTEM_KUBEFLOW_COOKIE": "session=s3cr3t",
    "HF_TOKEN": "s3cr3t-hub",
    "GITHUB_TOKEN": "s3cr3t-ci",
    "HOOK": "https://example.org/s3cr3t",
    "TF_VAR_db_password": "s3cr3t-terraform",
    "TF_TOKEN_app_terraform_io": "s3cr3t-terraform",
    "HTTPS_PROXY": "http://me:s3cr3t@proxy:3128",
    "PYTHON_KEYRING": "s3cr3t",
}


class Hostile(tf.Module):
    """Its graph writes a file when it is loaded, and copies its process's environment when it is asked."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.resource = _WritesWhenLoaded(str(folder / "loaded"))
        self.stolen = str(folder / "stolen")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(self, image_bytes):
        lines = tf.data.TextLineDataset("/proc/self/environ")
        text = lines.reduce(tf.constant(""), lambda known, line: tf.strings.join([known, line]))
        with tf.control_dependencies([tf.io.write_file(self.stolen, text)]):
            count = tf.shape(image_bytes)[0]
        names = tf.fill([count, 2], "\x1b]0;hacked\x07")
        share = tf.fill([count, 2], 0.5)
        return {"label": names[:, 0], "labels": names, "scores": share, "probabilities": share}


class _WritesWhenLoaded(tf.saved_model.experimental.TrackableResource):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def _create_resource(self):
        return tf.raw_ops.AnonymousMutableHashTable(key_dtype=tf.int64, value_dtype=tf.string)

    def _initialize(self):
        tf.io.write_file(self.path, "its graph ran")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A SavedModel with the signatures of one of ours; what it writes is in the same folder. No record is with it."""
    folder = tmp_path_factory.mktemp("hostile")
    module = Hostile(folder)
    module.resource.resource_handle  # noqa: B018 - created when it is read
    signatures = {"serving_default": module.serve, "serve_examples": module.serve}
    tf.saved_model.save(module, str(folder / "1700000000"), signatures)
    for name in ("loaded", "stolen"):
        (folder / name).unlink(missing_ok=True)
    return folder / "1700000000"


@pytest.fixture
def traces(hostile):
    """The names of the files that its graph wrote."""

    def traces() -> list[str]:
        return sorted(path.name for path in hostile.parent.iterdir() if path.is_file())

    assert traces() == []
    yield traces
    for name in traces():
        (hostile.parent / name).unlink()


def test_predict_does_not_load_it_unasked_and_gives_it_no_credentials(hostile, traces, tmp_path, monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "1.png").write_bytes(png(3))
    done = CliRunner().invoke(predict, [str(hostile), str(tmp_path / "1.png")])
    assert isinstance(done.exception, RestemError)
    assert "this is not a model that restem wrote" in str(done.exception)
    assert traces() == []
    done = CliRunner().invoke(predict, [str(hostile), str(tmp_path / "1.png"), "--trust"])
    assert done.exit_code == 0, done.output
    # The test's own attack works: otherwise it would prove nothing.
    assert traces() == ["loaded", "stolen"]
    stolen = (hostile.parent / "stolen").read_text()
    assert "PATH=" in stolen
    assert "s3cr3t" not in stolen
    assert "\x1b" not in done.output
    assert r"\x1b]0;hacked\x07" in done.output


def test_the_baseline_is_not_one_without_a_record(hostile, traces):
    assert "assets.extra" in (problem(str(hostile), CLASSES) or "")
    for path in (hostile, hostile.parent):
        with pytest.raises(RestemError, match="no model that can be the baseline"):
            choose(str(path), None, CLASSES)
    assert choose("latest_approved", str(hostile.parent), CLASSES).kind == "stock"
    assert traces() == []


def test_a_training_goes_on_from_weights_and_never_from_a_graph(hostile, traces, tmp_path, monkeypatch):
    """Also where the graph has a copied record: its variables are looked at, nothing is run."""
    custom = {"model": {"weights": str(hostile)}, "image": {"size": 20, "channels": 1}, "stem": {}}
    with pytest.raises(RestemError, match="no model that a training can go on from"):
        choose_start(custom, None, CLASSES, [])
    monkeypatch.setattr(network_module, "load_backbone", lambda name, weights: networks.network(False))
    shutil.copytree(export_tiny(tmp_path / "5") / "assets.extra", hostile / "assets.extra")
    sample = np.zeros((4, 20, 20, 1), np.uint8)
    try:
        with pytest.raises(RestemError, match="the training cannot go on from this model"):
            continue_network(
                str(hostile), ImageConfig(size=20, channels=1), StemConfig(), classes=CLASSES, sample=sample
            )
    finally:
        shutil.rmtree(hostile / "assets.extra")
    assert traces() == []


@pytest.mark.parametrize(
    ("recorded", "options", "without"),
    [
        ("/images", [], True),
        (None, [], True),
        ("gs://bucket/images", [], False),
        ("gs://bucket/images", ["--images", "/images"], True),
        ("/images", ["--images", "gs://bucket/images"], False),
    ],
)
def test_an_export_has_credentials_only_for_images_in_a_bucket(tmp_path, monkeypatch, recorded, options, without):
    folder = write_version(tmp_path / "5")
    record = json.loads((folder / "assets.extra" / "model.json").read_text())
    record["config"]["data"] = {"path": recorded} if recorded else None
    (folder / "assets.extra" / "model.json").write_text(json.dumps(record))
    asked = []
    monkeypatch.setattr(worker, "run_in_worker", lambda *_, **more: asked.append(more["runs_model"]) or {})
    out = ["--to", "keras", "--out", str(tmp_path / "x.keras"), "--json"]
    done = CliRunner().invoke(export, [str(folder), *out, *options])
    assert done.exit_code == 0, done.exception
    assert asked == [without]


def test_variables_of_libraries_that_compute_are_kept():
    kept = {"PATH": "/bin", "LC_ALL": "C", "CUDA_VISIBLE_DEVICES": "0", "OMP_NUM_THREADS": "2", "TF_XLA_FLAGS": ""}
    assert scrubbed({**kept, **SECRETS, "ANYTHING": "else"}) == kept


def test_the_scrubbed_environment_starts_this_python(tmp_path):
    code = "import json, os, ssl, restem; print(json.dumps(dict(os.environ)))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=scrubbed(SECRETS), capture_output=True, text=True, check=True
    )
    assert "s3cr3t" not in done.stdout
    assert set(json.loads(done.stdout)) <= {"LC_CTYPE", "PYTHONPATH"}
