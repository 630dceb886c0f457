"""Makes an earlier approved version the newest one again."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from restem import files
from restem.errors import RestemError
from restem.files import StorageError
from restem.model_files import CARD, RELEASE, ModelDigest, fingerprint, model_digest
from restem.pusher.kserve import FOLDER, follow
from restem.pusher.manifest import refuse_changed
from restem.pusher.push import only_one, push
from restem.pusher.registry import Entry, find, read_registry, the_served
from restem.pusher.release import Origin, Release, Withdrawn, identity, withdrawn_models
from restem.pusher.versions import Version
from restem.record_files import time_text


@dataclass(frozen=True)
class Rollback:
    """What a rollback did.

    Attributes:
      version: the new version.
      origin: the version whose model it is.
      replaced: the version that was served before.
      withdrawn: the versions whose models runs do not push again.
      manifest: the KServe manifest that now names the new version; None: there is none.
    """

    version: Version
    origin: int
    replaced: int
    withdrawn: tuple[int, ...]
    manifest: str | None


def rollback(
    destination: str, number: int | None = None, *, sign_key: str | None = None, verify_key: str | None = None
) -> Rollback:
    """Pushes an earlier approved version once more, as the newest one.

    The models of all versions after it are withdrawn: runs do not push them again, nor what they train again from the
    same images with the same settings and code. A rollback to a withdrawn model ends its withdrawal.

    Args:
      destination: the folder of versions.
      number: the version; None: the newest one before the served whose model is another one and not withdrawn.
      sign_key: the file of the private key that signs the manifest; None: it is not signed.
      verify_key: the file of the public key by which the version must be signed.

    Raises:
      RestemError: there is nothing to go back to, or the version cannot be used.
    """
    destination = destination.rstrip("/")
    with only_one(destination):
        return _rollback(destination, number, sign_key, verify_key)


def _rollback(destination: str, number: int | None, sign_key: str | None, verify_key: str | None) -> Rollback:
    now = time.time()
    entries = read_registry(destination, now=now)
    served = the_served(entries)
    if served is None:
        raise RestemError(
            "no version is served, so there is nothing to go back from",
            where=destination,
            expected="a folder of pushed models",
            given=f"{len(entries)} versions, none of them complete" if entries else "a folder without versions",
        )
    listed = withdrawn_models(destination)
    before = _previous(entries, served, listed, destination) if number is None else find(entries, number, destination)
    if before.served:
        raise RestemError("this version is already the served one", where=destination, given=str(before.number))
    if before.problem is not None:
        raise RestemError(
            f"version {before.number} cannot be released: {before.problem}",
            where=before.path,
            expected="a complete model that this project pushed",
            remedy="restem models lists the versions",
        )
    # The new version gets a manifest of its own: it must not make changed files right.
    refuse_changed(before.path, verify_key)
    digest = model_digest(before.path)
    model, made = identity(before.path, known=digest.fingerprint)
    withdrawn = [each for each in listed if each.fingerprint != model and (made is None or each.product != made)]
    passed = [entry for entry in entries if entry.ours and entry.problem is None and entry.number > before.number]
    at = time_text(now)
    for entry in passed:
        its_files, its_product = identity(entry.path)
        if its_files != model and its_files not in {each.fingerprint for each in withdrawn}:
            withdrawn.append(Withdrawn(entry.number, at, its_files, its_product))
    release = replace(
        before.release or Release(),
        pushed_at=at,
        origin=Origin(before.number, before.pushed_at, served.number),
        withdrawn=tuple(withdrawn),
    )
    version = _push_again(before, destination, release, digest, sign_key)
    try:
        manifest = follow(destination, version)
    except (OSError, StorageError) as error:
        raise RestemError(
            f"version {version.number} is served now, but the KServe manifest cannot be written",
            where=f"{destination}/{FOLDER}",
            given=getattr(error, "strerror", None) or str(error),
        ) from None
    return Rollback(
        version=version,
        origin=before.number,
        replaced=served.number,
        withdrawn=tuple(each.version for each in withdrawn),
        manifest=manifest,
    )


def _push_again(
    before: Entry, destination: str, release: Release, digest: ModelDigest, sign_key: str | None
) -> Version:
    notes = {RELEASE: release.to_bytes()}
    try:
        if files.exists(f"{before.path}/{CARD}"):
            notes[CARD] = files.read(f"{before.path}/{CARD}")
        version = push(before.path, destination, digest=digest, notes=notes, run=release.run, sign_key=sign_key)
    except OSError as error:
        raise RestemError(
            f"version {before.number} cannot be copied; nothing has changed",
            where=destination,
            given=error.strerror or type(error).__name__,
        ) from None
    if fingerprint(version.path) != digest.fingerprint:  # a file system that lost a write
        raise RestemError("the copy differs from its origin", where=version.path, given=f"version {before.number}")
    return version


def _previous(entries: Sequence[Entry], served: Entry, listed: Sequence[Withdrawn], destination: str) -> Entry:
    current = fingerprint(served.path)
    withdrawn = {each.fingerprint for each in listed}
    for entry in entries:
        if entry.number < served.number and entry.problem is None:
            its_files = fingerprint(entry.path)
            if its_files != current and its_files not in withdrawn:
                return entry
    raise RestemError(
        "there is no version to go back to",
        where=destination,
        expected=f"a complete version before {served.number} with another model that was not rolled back",
        given=", ".join(str(entry.number) for entry in entries if entry.number < served.number) or "none",
        remedy="restem models lists the versions; restem rollback VERSION releases one of them, rolled back or not",
    )
