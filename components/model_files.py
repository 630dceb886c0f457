"""The files of an exported model, and their fingerprint."""

import hashlib
from dataclasses import dataclass

from restem.checksums import FileSum, update_from
from restem.files import file_sizes, open_file
from restem.run_record import EXTRA

SAVED_MODEL = "saved_model.pb"
# What a push adds to the model. Two versions with equal other files are the same model.
RELEASE, CARD = f"{EXTRA}/release.json", f"{EXTRA}/model_card.md"
MANIFEST, SIGNATURE = f"{EXTRA}/manifest.json", f"{EXTRA}/manifest.json.sig"
ADDED = (RELEASE, CARD, MANIFEST, SIGNATURE)

# A property of the blessing: the fingerprint of the files that were judged, which the Pusher compares.
JUDGED = "judged_files"
CHANGED = "Remove this folder and run again: the step Trainer then makes the model again"


@dataclass(frozen=True)
class ModelDigest:
    """A model's files, read once.

    Attributes:
      fingerprint: of the names and contents of `model_files`: 32 hexadecimal digits.
      files: the sum of each of them, sorted by relative path.
    """

    fingerprint: str
    files: dict[str, FileSum]


def model_files(folder: str) -> dict[str, int]:
    """The sizes of a model's files, without those that a push adds."""
    return {name: size for name, size in file_sizes(folder).items() if name not in ADDED}


def model_digest(folder: str) -> ModelDigest:
    """Reads a model's files once."""
    digest = hashlib.sha256()
    sums = {}
    for name, size in model_files(folder).items():
        digest.update(f"{name}\0{size}\0".encode())
        of_file = hashlib.sha256()
        with open_file(f"{folder.rstrip('/')}/{name}", "rb") as file:
            update_from(file, digest, of_file)
        sums[name] = FileSum(size, of_file.hexdigest())
    return ModelDigest(digest.hexdigest()[:32], sums)


def fingerprint(folder: str) -> str:
    """The fingerprint of the names and contents of `model_files`: 32 hexadecimal digits."""
    return model_digest(folder).fingerprint
