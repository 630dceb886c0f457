"""Writes the manifest with which KServe serves the pushed versions, and a sample request.

Both files are in <destination>/kserve/; TensorFlow Serving ignores folders whose name is not a number.
"""

import base64
import json
import os
import re
import secrets
from typing import Any

from restem import files
from restem.pusher.versions import Version
from restem.run_record import EXTRA, read_classes, read_model
from restem.storage import is_remote

FOLDER = "kserve"
MANIFEST, REQUEST = "inference-service.yaml", "request.json"
# KServe's default is TensorFlow Serving 2.6.2 from 2021; this is the newest release.
TENSORFLOW_SERVING = "2.19.1"
# The service is called <name>-predictor, and Kubernetes allows 63 characters.
MAX_NAME = 63 - len("-predictor")
MAX_BYTES = 64 << 10  # of the manifest, which others can change


def write_manifest(destination: str, version: Version, *, name: str, storage_uri: str) -> str:
    """Writes the manifest and the request.

    Args:
      destination: the folder of versions.
      version: the newest version.
      name: the pipeline's name.
      storage_uri: where the serving cluster reads the destination.

    Returns:
      The manifest's path.
    """
    extra = f"{version.path}/{EXTRA}"
    taken = read_model(extra).input
    folder = f"{destination.rstrip('/')}/{FOLDER}"
    image = sample_image(taken.height, taken.width, taken.file_channels)
    _write(f"{folder}/{REQUEST}", json.dumps(request(image)) + "\n")
    _write(f"{folder}/{MANIFEST}", manifest(name, storage_uri, version.number, read_classes(extra)))
    return f"{folder}/{MANIFEST}"


def follow(destination: str, version: Version) -> str | None:
    """Lets an existing manifest name another version; it keeps its service and its address of the models.

    Args:
      destination: the folder of versions.
      version: the newest version.

    Returns:
      The manifest's path; None if there is none, or it is not one of `write_manifest`.
    """
    import yaml

    path = f"{destination.rstrip('/')}/{FOLDER}/{MANIFEST}"
    if not files.exists(path):
        return None
    with files.open_file(path, "rb") as file:
        text = file.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        return None
    try:
        document = yaml.safe_load(text)
        name, uri = document["metadata"]["name"], document["spec"]["predictor"]["model"]["storageUri"]
    except (yaml.YAMLError, ValueError, KeyError, TypeError, RecursionError):
        return None
    # As text, a few lines of aliases could become gigabytes.
    if not isinstance(name, str) or not isinstance(uri, str):
        return None
    return write_manifest(destination, version, name=name, storage_uri=uri)


def request(*images: bytes) -> dict[str, Any]:
    """The body of a prediction request for TensorFlow Serving's REST API, which is KServe's protocol V1.

    Args:
      images: encoded images. In JSON, bytes are base64 in an object whose only key is b64.
    """
    return {"instances": [{"image_bytes": {"b64": base64.b64encode(image).decode("ascii")}} for image in images]}


def manifest(name: str, storage_uri: str, version: int, classes: list[str]) -> str:
    """An InferenceService as YAML; comments explain how to apply and call it. `kubectl` sets the namespace.

    The version is an annotation of the pods, so applying a manifest with a new version starts new pods. Pods download
    the versions from a bucket only when they start; on a volume, TensorFlow Serving finds new versions by itself.
    """
    import yaml

    name = service_name(name)
    top = min(5, len(classes))
    document = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {
            "predictor": {
                "annotations": {"restem/version": str(version)},
                "model": {
                    "modelFormat": {"name": "tensorflow"},
                    "protocolVersion": "v1",
                    "runtimeVersion": TENSORFLOW_SERVING,
                    "storageUri": storage_uri,
                },
            }
        },
    }
    comments = [
        f"Serves the versions in {storage_uri}; the newest is {version}. Written by Restem's Pusher with each push.",
        "",
        f"    kubectl apply --namespace NAMESPACE --filename {MANIFEST}",
        f"    curl --header 'Content-Type: application/json' --data @{REQUEST} http://HOST/v1/models/{name}:predict",
        "",
        f"To find HOST: kubectl get inferenceservice {name} --namespace NAMESPACE",
        f"{REQUEST} has one image; for more images, add elements to its instances. The response:",
        "",
        '    {"predictions": [{"label": NAME, '
        f'"labels": [{top} NAMES], "scores": [{top} NUMBERS], "probabilities": [{len(classes)} NUMBERS]}}]}}',
        "",
        "labels has the most probable classes, best first, and scores their probabilities. probabilities has those of",
        "all classes, in the order of the model's assets.extra/classes.json.",
    ]
    lines = "".join(f"# {line}".rstrip() + "\n" for line in comments)
    return lines + yaml.safe_dump(document, sort_keys=False, width=120)


def service_name(name: str) -> str:
    """A pipeline's name in the form KServe accepts: it starts with a letter, and `<name>-predictor` is short enough."""
    name = name if re.match("[a-z]", name) else f"model-{name}"
    return name[:MAX_NAME].rstrip("-")


def sample_image(height: int, width: int, channels: int) -> bytes:
    """A grey ramp with this size and number of channels, encoded as PNG or, for many bands, as the raw container."""
    import numpy as np

    from restem.images.container import to_decodable

    ramp = np.linspace(0, 255, width).astype(np.uint8)
    return to_decodable(np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (height, width, channels))))


def _write(path: str, text: str) -> None:
    """Writes atomically: an object in a bucket appears complete, and a file is renamed once it is complete."""
    if is_remote(path):
        files.write(path, text.encode("utf-8"))
        return
    work = f"{path}.{secrets.token_hex(4)}"
    files.write(work, text.encode("utf-8"))
    os.replace(work, path)
