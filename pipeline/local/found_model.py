"""Finds the model that a command means: a version, a folder of versions, or a run; and whether restem wrote it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from restem.errors import RestemError
from restem.evaluator.verdict import BLESSED_FILE
from restem.files import exists, file_sizes
from restem.model_files import SAVED_MODEL
from restem.pipeline.local.database import DATABASE
from restem.pipeline.local.past_runs import AT, PastRun, find_runs
from restem.pusher.manifest import REMEDY, refuse_changed
from restem.pusher.release import read_release
from restem.pusher.versions import missing, newest
from restem.record_files import DamagedRecord
from restem.run_record import EXTRA, read_classes, read_model
from restem.storage import is_remote

SERVING = "Format-Serving"  # TFX's folder for the SavedModel in a Trainer's artifact
TRUST = "A SavedModel is a program: its graph can read and write files. If you trust where it comes from, add --trust"


@dataclass(frozen=True)
class FoundModel:
    """A SavedModel.

    Attributes:
      path: its folder.
      warning: what the user should know of it, as a sentence; empty: nothing.
    """

    path: Path
    warning: str = ""


def find_model(name: str, *, trust: bool = False) -> FoundModel:
    """The model that `name` means.

    Args:
      name: the folder of one version; of all versions: the newest one; of a run (--root): the newest approved version
        that it pushed, else its newest approved model, else its newest model, with a warning; or ROOT@START, a run's
        own model.
      trust: whether the model may be one that this project did not write.

    Raises:
      RestemError: there is none, this project did not write it, or its files are not those that were pushed.
    """
    if is_remote(name):
        raise RestemError(
            "a model is loaded from a folder of this machine",
            where=name,
            remedy="Copy the folder of the version to this machine; restem verify checks the copy, and the bucket too",
        )
    folder = Path(os.path.expanduser(name))
    root, at, _ = name.rpartition(AT)
    if not folder.is_dir() and at and (Path(os.path.expanduser(root)) / DATABASE).is_file():
        return _of_run(find_runs(name)[-1], trust)
    if (folder / DATABASE).is_file() and not exists(f"{folder}/{SAVED_MODEL}"):
        return _of_root(name, trust)
    return FoundModel(_version(folder, trust))


def not_ours(folder: str) -> str | None:
    """Why a folder is not a model that this project wrote, as the end of a sentence; None if it is one.

    What counts is that the model's record is there, and that its parts fit together. The record can be copied: this
    does not prove who wrote the model, nor that nobody changed it.
    """
    try:
        if problem := missing(file_sizes(folder)):
            return problem
        record, classes = read_model(f"{folder}/{EXTRA}"), read_classes(f"{folder}/{EXTRA}")
        read_release(f"{folder}/{EXTRA}")
    except (DamagedRecord, OSError) as error:
        return f"{EXTRA}/{error}"
    if record.role != "candidate":
        return "its record is that of a baseline"
    return None if len(classes) > 1 and len(set(classes)) == len(classes) else f"{EXTRA}/classes.json has no classes"


def _of_root(name: str, trust: bool) -> FoundModel:
    runs = find_runs(name)
    for run in reversed(runs):
        destination = destination_of(run)
        found = newest(destination, _usable(trust))[0] if destination else None
        if found is not None:
            return FoundModel(Path(found).resolve())
    approved = [run for run in runs if _is_approved(run)]
    return _of_run((approved or runs)[-1], trust)


def _of_run(run: PastRun, trust: bool) -> FoundModel:
    model = _version(Path(run.output("Trainer", "model")) / SERVING, trust)
    if _is_approved(run):
        return FoundModel(model)
    return FoundModel(
        model,
        f"This model was NOT approved: {run.name} refused it, or did not judge it (restem report {run.name} says why).",
    )


def _is_approved(run: PastRun) -> bool:
    if "Evaluator" not in run.outputs:
        return False
    return (Path(run.output("Evaluator", "blessing")) / BLESSED_FILE).is_file()


def destination_of(run: PastRun) -> str | None:
    """The folder of versions that the run pushed to."""
    try:
        config = read_model(run.output("Trainer", "model_run")).config
        named = (config.get("push") or {}).get("destination") or f"{run.root}/serving/{config['name']}"
    except (DamagedRecord, OSError, RestemError, KeyError, AttributeError):
        return None
    return named if isinstance(named, str) else None


def _usable(trust: bool) -> Callable[[str], str | None]:
    def problem(folder: str) -> str | None:
        if not exists(f"{folder}/{SAVED_MODEL}"):
            return "there is no pushed model"
        if trust:
            return None
        if missing(file_sizes(folder)) is None:
            refuse_changed(folder, remedy=f"{REMEDY}. restem predict --trust loads it nevertheless")
        return not_ours(folder)

    return problem


def _version(folder: Path, trust: bool) -> Path:
    """The folder of one model, or the newest version in it."""
    found, skipped = newest(str(folder), _usable(trust))
    if found is not None:
        return Path(found).resolve()
    foreign = [(path, why) for path, why in skipped if exists(f"{path}/{SAVED_MODEL}")]
    if foreign:
        path, why = foreign[0]
        raise RestemError(
            "this is not a model that restem wrote",
            where=path,
            expected="a version that restem pushed, with its record in assets.extra",
            given=why,
            remedy=TRUST,
        )
    raise RestemError(
        "there is no pushed model",
        where=str(folder),
        expected="a folder with saved_model.pb, with versions such as 1700000000/saved_model.pb, or of a run (--root)",
        given="a folder without them"
        if folder.is_dir()
        else "a file"
        if folder.exists()
        else "a folder that does not exist",
        remedy="The summary of restem run shows the folder of the pushed model",
    )
