"""What a model is the product of: so a run knows that a model is already the result of its images and settings."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from restem.run_record import MadeOf

CHUNK_BYTES = 1 << 20


def made_of(custom: Mapping[str, Any], files: Sequence[str]) -> MadeOf:
    """The digests of a training.

    Args:
      custom: the `custom_config` of `run_fn`.
      files: patterns of the files with examples.
    """
    return MadeOf(settings_digest(custom), images_digest(files))


def settings_digest(custom: Mapping[str, Any]) -> str:
    """Of the sections that decide a training, and of its code; without the record and the model that it starts from."""
    settings = {name: value for name, value in custom.items() if name not in ("config", "start")}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def images_digest(files: Sequence[str]) -> str:
    """Of the files' contents and names, and of the names of their splits' folders; the folders above do not count."""
    found = [path for pattern in files for path in tf.io.gfile.glob(pattern)]
    digest = hashlib.sha256()
    for path in sorted(found, key=lambda path: path.rsplit("/", 2)[-2:]):
        digest.update(f"{'/'.join(path.rsplit('/', 2)[-2:])}\0{tf.io.gfile.stat(path).length}\0".encode())
        with tf.io.gfile.GFile(path, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
