"""Checks what a name means against its checksums: a version, the newest of a folder of versions, or a run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from restem import files
from restem.checksums import Differences
from restem.errors import RestemError
from restem.model_files import MANIFEST, SAVED_MODEL
from restem.pipeline.local.cache import here
from restem.pipeline.local.database import DATABASE
from restem.pipeline.local.found_model import destination_of
from restem.pipeline.local.past_runs import AT, PastRun, find_runs
from restem.pipeline.local.results import damage
from restem.pusher.manifest import Manifest, changes, read_manifest
from restem.pusher.signature import check_signature
from restem.pusher.versions import versions
from restem.record_files import DamagedRecord
from restem.storage import is_remote


@dataclass(frozen=True)
class CheckedVersion:
    """A version that was compared with its manifest.

    Attributes:
      path: its folder.
      manifest: what it should be.
      found: what differs.
      signed_by: the public key that verified its signature; None: the signature was not checked.
    """

    path: str
    manifest: Manifest
    found: Differences
    signed_by: str | None = None


@dataclass(frozen=True)
class CheckedResult:
    """A result of a step that was compared with its checksums; `found` is None if it has none."""

    step: str
    output: str
    folder: str
    found: Differences | None


@dataclass(frozen=True)
class Checked:
    """What was compared.

    Attributes:
      version: None: a run that pushed none.
      run: the run, as `find_runs` takes it; None: a version was meant.
      results: those of the run's steps.
    """

    version: CheckedVersion | None
    run: str | None = None
    results: tuple[CheckedResult, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether anything differs."""
        return bool(self.version and self.version.found) or any(result.found for result in self.results)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        version = self.version
        told: dict[str, Any] = {"differs": self.differs, "version": None}
        if version is not None:
            about: Mapping[str, Any] = asdict(version.manifest)
            told = {
                **told,
                "version": version.path,
                **asdict(version.found),
                "files": len(version.manifest.files),
                **{name: about[name] for name in ("fingerprint", "run", "made_of")},
                "signed_by": version.signed_by,
            }
        results = [
            {"step": each.step, "output": each.output, "folder": each.folder, "known": each.found is not None}
            | asdict(each.found or Differences())
            for each in self.results
        ]
        return {**told, "of_run": self.run, "results": results}


def verify(name: str, key: str | None = None) -> Checked:
    """Compares what `name` means with its checksums.

    Args:
      name: the folder of a version, or of versions: then the newest; or of a run (--root): its results, and the newest
        version where it pushes to; or ROOT@START: the results of one run.
      key: the file of the public key that must verify the version's signature.

    Raises:
      RestemError: there is no such folder, or no manifest; or the signature is not of that key.
    """
    folder = name.rstrip("/") if is_remote(name) else str(Path(name).expanduser().absolute())
    root, at, _ = name.rpartition(AT)
    one_run = bool(at) and not files.is_folder(folder) and (Path(root).expanduser() / DATABASE).is_file()
    if one_run or (not is_remote(folder) and (Path(folder) / DATABASE).is_file()):
        run = find_runs(name)[-1]
        return Checked(None if one_run else _pushed(run, key), run.name, tuple(_results(run)))
    if not files.is_folder(folder):
        raise RestemError(
            "there is no such folder",
            where=folder,
            expected="the folder of a version, of versions, or of a run (--root)",
            remedy="restem models lists the versions of a configuration",
        )
    if not any(files.exists(f"{folder}/{file}") for file in (SAVED_MODEL, MANIFEST)):
        every = versions(folder)
        folder = every[0].path if every else folder
    return Checked(_check(folder, key))


def _pushed(run: PastRun, key: str | None) -> CheckedVersion | None:
    destination = destination_of(run)
    every = versions(destination) if destination else []
    return _check(every[0].path, key) if every else None


def _check(folder: str, key: str | None) -> CheckedVersion:
    try:
        manifest = read_manifest(folder)
    except DamagedRecord as problem:
        # Nothing can be compared with it, but it is one of the version's files.
        return CheckedVersion(folder, Manifest("", {}), Differences(changed=(f"{MANIFEST} ({problem})",)))
    if manifest is None:
        raise RestemError(
            "this version has no manifest"
            if files.exists(f"{folder}/{SAVED_MODEL}")
            else "there is no version of a model in this folder",
            where=folder,
            expected=f"{MANIFEST}, which a push of this version of Restem writes",
            given="a version that an older version of Restem pushed, or not Restem"
            if files.exists(f"{folder}/{SAVED_MODEL}")
            else None,
            remedy="The next push, or restem rollback, writes one",
        )
    if key is not None:
        check_signature(folder, key, where="--key")
    return CheckedVersion(folder, manifest, changes(folder, manifest), signed_by=key)


def _results(run: PastRun) -> list[CheckedResult]:
    found = []
    for step, outputs in run.outputs.items():
        for output, written in outputs.items():
            folder = here(written, str(run.root))
            gone = not is_remote(folder) and not Path(folder).is_dir()
            found.append(CheckedResult(step, output, folder, Differences(missing=(".",)) if gone else damage(folder)))
    return found
