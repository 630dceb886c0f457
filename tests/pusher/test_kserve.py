import base64
import json
import re

import pytest
import tensorflow as tf
import yaml

from restem.images.graph.decode import Depth, decode_raw
from restem.pusher.kserve import MAX_NAME, follow, manifest, request, sample_image, service_name, write_manifest
from restem.pusher.versions import Version, versions
from tests.tiny_model import CLASSES, export_tiny

# KServe's own rule for names: IsvcNameFmt in pkg/apis/serving/v1beta1/inference_service_validation.go.
KSERVE_NAME = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 13])
def test_the_pushed_model_accepts_the_request(tmp_path, channels):
    """In TensorFlow Serving's format: named inputs per instance, bytes as base64 in an object with the key b64."""
    version = Version(5, str(export_tiny(tmp_path / "serving" / "5", size=9, channels=channels)))
    written = write_manifest(f"{tmp_path}/serving", version, name="digits", storage_uri="gs://b/digits")
    assert written == f"{tmp_path}/serving/kserve/inference-service.yaml"
    (instance,) = json.loads((tmp_path / "serving" / "kserve" / "request.json").read_text())["instances"]
    serve = tf.saved_model.load(version.path).signatures["serving_default"]
    _, inputs = serve.structured_input_signature
    assert set(instance) == set(inputs) == {"image_bytes"}
    assert set(instance["image_bytes"]) == {"b64"}
    image = base64.b64decode(instance["image_bytes"]["b64"], validate=True)
    assert decode_raw(tf.constant(image), Depth()).shape == (9, 9, channels)
    answer = serve(image_bytes=tf.constant([image]))
    assert answer["probabilities"].shape == (1, len(CLASSES))
    assert sum(answer["probabilities"].numpy()[0]) == pytest.approx(1.0)
    # The signature returns what the manifest's comment describes.
    text = (tmp_path / "serving" / "kserve" / "inference-service.yaml").read_text()
    described = re.search(r'\{"predictions": \[\{(.*?)\}\]\}', text)[1]
    assert set(re.findall(r'"(\w+)":', described)) == set(answer)
    for name, count in re.findall(r'"(\w+)": \[(\d+) ', described):
        assert answer[name].shape == (1, int(count))


def test_the_manifest_has_what_kserve_requires():
    text = manifest("digits", "pvc://models/serving/digits", 1700000000, CLASSES)
    document = yaml.safe_load(text)
    assert document["apiVersion"] == "serving.kserve.io/v1beta1"
    assert document["kind"] == "InferenceService"
    assert document["metadata"] == {"name": "digits"}  # the namespace is kubectl's
    predictor = document["spec"]["predictor"]
    assert predictor["model"]["modelFormat"] == {"name": "tensorflow"}
    assert predictor["model"]["storageUri"] == "pvc://models/serving/digits"
    # Annotations are strings; a new version starts new pods.
    assert predictor["annotations"] == {"restem/version": "1700000000"}
    assert "http://HOST/v1/models/digits:predict" in text


@pytest.mark.parametrize(
    ("name", "expected"), [("digits", "digits"), ("3d-scans", "model-3d-scans"), ("a" * 52 + "-b" * 5, "a" * 52)]
)
def test_names_are_valid_for_kserve(name, expected):
    assert service_name(name) == expected
    assert KSERVE_NAME.match(service_name(name))
    assert len(f"{service_name(name)}-predictor") <= 63
    assert len(service_name("x" * 63)) == MAX_NAME


def test_several_images_are_several_instances():
    body = request(b"\x00", b"\xff")
    assert body == {"instances": [{"image_bytes": {"b64": "AA=="}}, {"image_bytes": {"b64": "/w=="}}]}


def test_a_large_image_makes_a_small_request():
    assert len(json.dumps(request(sample_image(1024, 1024, 3)))) < 100_000


def test_writing_again_replaces_both_files_and_leaves_nothing_else(put, tmp_path):
    for number in (5, 6):
        write_manifest(
            f"{tmp_path}/serving/", Version(number, str(put(number))), name="digits", storage_uri="pvc://c/digits"
        )
    folder = tmp_path / "serving" / "kserve"
    assert sorted(path.name for path in folder.iterdir()) == ["inference-service.yaml", "request.json"]
    document = yaml.safe_load((folder / "inference-service.yaml").read_text())
    assert document["spec"]["predictor"]["annotations"]["restem/version"] == "6"
    assert [version.number for version in versions(f"{tmp_path}/serving")] == [6, 5]


BOMB = "\n".join(["x0: &x0 lol", *(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 10))])


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        f"{BOMB}\nmetadata: {{name: *x9}}\nspec: {{predictor: {{model: {{storageUri: *x9}}}}}}",
        "metadata: !!python/object/apply:os.system [touch hacked]",
        "metadata: {name: 3}\nspec: {predictor: {model: {storageUri: pvc://c}}}",
        "#" * 100_000,
        "\xff\x00",
    ],
)
def test_a_manifest_that_somebody_else_changed_is_left_alone(tmp_path, put, text, monkeypatch):
    """Also one whose name would be a gigabyte of text."""
    monkeypatch.chdir(tmp_path)
    manifest = tmp_path / "serving" / "kserve" / "inference-service.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(text, encoding="latin-1")
    assert follow(f"{tmp_path}/serving", Version(5, str(put(5)))) is None
    assert manifest.read_text(encoding="latin-1") == text
    assert not (tmp_path / "hacked").exists()
