"""The files of an exported model, and their fingerprint."""

import hashlib

from restem.files import file_sizes, open_file
from restem.run_record import EXTRA

SAVED_MODEL = "saved_model.pb"
CHUNK_BYTES = 1 << 20
# What a push adds to the model. Two versions with equal other files are the same model.
RELEASE, CARD = f"{EXTRA}/release.json", f"{EXTRA}/model_card.md"

# A property of the blessing: the fingerprint of the files that were judged, which the Pusher compares.
JUDGED = "judged_files"
CHANGED = "Remove this folder and run again: the step Trainer then makes the model again"


def model_files(folder: str) -> dict[str, int]:
    """The sizes of a model's files, without those that a push adds."""
    return {name: size for name, size in file_sizes(folder).items() if name not in (RELEASE, CARD)}


def fingerprint(folder: str) -> str:
    """The fingerprint of the names and contents of `model_files`: 32 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, size in model_files(folder).items():
        digest.update(f"{name}\0{size}\0".encode())
        with open_file(f"{folder.rstrip('/')}/{name}", "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()[:32]
