"""The manifest of a version: what it consists of and what it was made of, so that a release can be proved.

A push writes it as assets.extra/manifest.json. It has the SHA-256 of every other file of the version, the digests of
the images, the configuration, the code and the packages, and the run. Equal inputs give the same bytes. A manifest
finds damage and edited files. It does not protect from somebody who can write into the folder, and so can change the
manifest too: for that it can be signed, see signature.py.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from restem import files
from restem.checksums import Differences, FileSum, differences
from restem.errors import RestemError
from restem.model_files import CARD, MANIFEST, SIGNATURE
from restem.pusher.signature import check_signature
from restem.record_files import VERSION, DamagedRecord, parse
from restem.run_record import EXTRA, ModelRecord, read_model

NAME = MANIFEST.removeprefix(f"{EXTRA}/")
REMEDY = (
    "restem verify names every file that differs. Restore them, or remove this version; restem rollback releases an "
    "earlier one"
)


@dataclass(frozen=True)
class Origins:
    """What a version was made of, as digests; None: its record does not have it.

    Attributes:
      data: SHA-256 of the training and test examples: the images with their labels and names, by split.
      configuration: SHA-256 of the run's complete configuration (`config` in model.json), as JSON with sorted keys.
      code: the first 16 digits of the SHA-256 of the training's source code.
      lock: SHA-256 of the file requirements.lock of the training; None: it ran from an installed package.
      packages: SHA-256 of the names and versions of all Python packages of the training, one a line, sorted.
    """

    data: str | None = None
    configuration: str | None = None
    code: str | None = None
    lock: str | None = None
    packages: str | None = None


@dataclass(frozen=True)
class Manifest:
    """A version's manifest.

    Attributes:
      fingerprint: of the model's files, as the verdict has it (see model_files.py).
      files: the size and SHA-256 of every file, by path; all but the manifest itself and its signature.
      run: the id of the run that pushed the model first; None: not known.
      made_of: the digests of what it was made of.
      version: the file's format.
    """

    fingerprint: str
    files: dict[str, FileSum]
    run: str | None = None
    made_of: Origins = field(default_factory=Origins)
    version: int = VERSION

    def to_bytes(self) -> bytes:
        """The content of manifest.json."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False).encode("utf-8") + b"\n"


def origins(record: ModelRecord) -> Origins:
    """What a network was made of, from its record."""
    config = json.dumps(record.config, sort_keys=True, ensure_ascii=False).encode("utf-8")
    return Origins(
        data=record.made_of.images if record.made_of else None,
        configuration=hashlib.sha256(config).hexdigest() if record.config else None,
        code=record.code,
        lock=record.environment.lock if record.environment else None,
        packages=record.environment.packages if record.environment else None,
    )


def make_manifest(model: str, fingerprint: str, sums: Mapping[str, FileSum], run: str | None) -> Manifest:
    """The manifest of a new version.

    Args:
      model: the folder of the model, with its record.
      fingerprint: of the model's files.
      sums: of all files of the version.
      run: the id of the run.
    """
    try:
        made_of = origins(read_model(f"{model}/{EXTRA}"))
    except (DamagedRecord, OSError):
        made_of = Origins()
    return Manifest(fingerprint, dict(sorted(sums.items())), run, made_of)


def read_manifest(folder: str) -> Manifest | None:
    """Reads a version's manifest; None if there is none, because an older version of Restem pushed it.

    Raises:
      DamagedRecord: it cannot be used.
    """
    return parse(f"{folder}/{EXTRA}", NAME, Manifest) if files.exists(f"{folder}/{MANIFEST}") else None


def changes(folder: str, manifest: Manifest) -> Differences:
    """What differs in a version from its manifest.

    Raises:
      OSError: a file cannot be read.
    """
    return differences(folder, manifest.files).without((MANIFEST, SIGNATURE))


def refuse_changed(folder: str, key: str | None = None, *, remedy: str = REMEDY) -> None:
    """Refuses a version whose files are not those that were pushed.

    The model card is not compared: its owner completes it. A version without a manifest is accepted, unless it must be
    signed.

    Args:
      folder: of the version.
      key: the file of the public key by which it must be signed (push.verify_key).
      remedy: what to do about it.

    Raises:
      RestemError: with the files that differ, or what is wrong with the signature.
    """
    if key is not None:
        check_signature(folder, key)
    try:
        manifest = read_manifest(folder)
        found = Differences() if manifest is None else changes(folder, manifest).without([CARD])
    except DamagedRecord as damage:
        problem = "the version's manifest cannot be used"
        raise RestemError(problem, where=folder, given=f"{EXTRA}/{damage}", remedy=remedy) from None
    if found:
        raise RestemError(
            "the files of this version are not those that were pushed",
            where=folder,
            expected=f"the files in {MANIFEST}",
            given=found.text,
            remedy=remedy,
        )
