"""Nights: runs of a pipeline as TFX's local runner records them, without computing anything."""

import contextlib
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from restem.model_files import RELEASE
from restem.pipeline.local import clean, removal
from restem.pipeline.local.folder import RunFolder
from restem.pusher.release import Release
from tests.pipeline.local.metadata import Database

NOW = 1_800_000_000
# Each step: its outputs, and the steps that it reads.
STEPS = {
    "ImageExampleGen": (("examples", "quarantine"), ()),
    "StatisticsGen": (("statistics",), ("ImageExampleGen",)),
    "Trainer": (("model", "model_run"), ("ImageExampleGen",)),
    "Evaluator": (("evaluation", "blessing"), ("ImageExampleGen", "Trainer")),
    "Report": (("report", "release"), ("Evaluator", "Trainer", "ImageExampleGen")),
    "Pusher": (("pushed_model",), ("Evaluator", "Trainer", "Report")),
}


class Nights(Database):
    """A root with runs. Each result is a folder with one file of 1,000 bytes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        super().__init__(root)
        self.nights = count(1)
        self.made: dict[str, dict[str, dict[str, int]]] = {}  # start -> step -> key -> artifact

    def run(self, *, cached_from: str | None = None, upto: str = "Pusher", name: str = "own") -> str:
        """A night; with `cached_from` all but the Evaluator, the Report and the Pusher are that run's results.

        The step `upto` is killed unless it is the last one.
        """
        start = f"2026-11-{next(self.nights):02d}T03:00:00.000001"
        (self.root / "logs").mkdir(exist_ok=True)
        (self.root / "logs" / f"{start[:19].replace('-', '').replace(':', '').replace('T', '-')}.log").write_text("x")
        made = self.made[start] = {}
        for step, (keys, reads) in STEPS.items():
            killed = step == upto != "Pusher"
            cached = cached_from is not None and step in ("ImageExampleGen", "StatisticsGen", "Trainer")
            state = mlmd.Execution.RUNNING if killed else mlmd.Execution.CACHED if cached else mlmd.Execution.COMPLETE
            execution = mlmd.Execution(type_id=self.step, last_known_state=state)
            events = [
                (mlmd.Artifact(), self.event(mlmd.Event.INPUT, key, each)) for each, key in self.read(made, reads)
            ]
            inputs = [(self.store.get_artifacts_by_id([event.artifact_id])[0], event) for _, event in events]
            contexts = [self.context("pipeline_run", start), self.context("node", f"{name}.{step}")]
            number, _, _ = self.store.put_execution(execution, inputs, contexts)
            self.write(self.root / "pipeline" / step / ".system" / "executor_execution" / str(number))
            made[step] = {}
            for key in keys:
                folder = self.root / "pipeline" / step / key / str(number)
                if cached:
                    made[step][key] = self.made[cached_from][step][key]
                else:
                    self.write(folder)
                    if killed:
                        continue
                    (made[step][key],) = self.store.put_artifacts(
                        [mlmd.Artifact(type_id=self.folder, uri=str(folder), state=mlmd.Artifact.LIVE)]
                    )
                event = self.event(mlmd.Event.OUTPUT, key, made[step][key])
                event.execution_id = number
                self.store.put_events([event])
            if killed:
                break
        return start

    @staticmethod
    def read(made: dict[str, dict[str, int]], steps: tuple[str, ...]) -> Iterator[tuple[int, str]]:
        for step in steps:
            for key, artifact in made[step].items():
                yield artifact, key

    @staticmethod
    def event(kind: int, key: str, artifact: int) -> mlmd.Event:
        event = mlmd.Event(type=kind, artifact_id=artifact)
        event.path.steps.add().key = key
        return event

    def context(self, kind: str, name: str) -> mlmd.Context:
        found = self.store.get_context_by_type_and_name(kind, name)
        if found is None:
            self.store.put_contexts([mlmd.Context(type_id=self.kinds[kind], name=name)])
        return self.store.get_context_by_type_and_name(kind, name)

    @staticmethod
    def write(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(bytes(1000))

    def there(self, start: str) -> set[str]:
        """The results of a run that are on disk, as step/key."""
        return {
            f"{step}/{key}"
            for step, keys in self.made[start].items()
            for key, artifact in keys.items()
            if Path(self.store.get_artifacts_by_id([artifact])[0].uri, "file").is_file()
        }

    def deleted(self, start: str) -> set[str]:
        """The results of a run that are marked in the database, as step/key."""
        return {
            f"{step}/{key}"
            for step, keys in self.made[start].items()
            for key, artifact in keys.items()
            if self.store.get_artifacts_by_id([artifact])[0].state == mlmd.Artifact.DELETED
        }


ALL = {f"{step}/{key}" for step, (keys, _) in STEPS.items() for key in keys}
EXPLAINING = {
    *("ImageExampleGen/quarantine", "Trainer/model_run", "Evaluator/evaluation", "Evaluator/blessing"),
    *("Report/report", "Report/release"),
}


def remove(nights, config):
    return clean.clean(config, RunFolder(nights.root), now=NOW)


def release(put, number: int, run: str) -> Path:
    """A version that a run pushed."""
    folder = put(number, "root/serving/own")
    (folder / RELEASE).write_bytes(Release("own", "Approved.", run=run).to_bytes())
    return folder


class Killed(BaseException):
    """As by SIGKILL: nothing handles it."""


@contextlib.contextmanager
def killed_at(moment: int) -> Iterator[None]:
    """Kills a cleaning at the given call of a function that changes something."""
    calls = count()

    def dies(function):
        def call(*arguments, **named):
            if next(calls) == moment:
                raise Killed
            return function(*arguments, **named)

        return call

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(clean, "mark_removed", dies(clean.mark_removed))
        patched.setattr(Path, "rename", dies(Path.rename))
        patched.setattr(Path, "touch", dies(Path.touch))
        patched.setattr(Path, "unlink", dies(Path.unlink))
        patched.setattr(Path, "rmdir", dies(Path.rmdir))
        patched.setattr(removal.shutil, "rmtree", dies(shutil.rmtree))
        with contextlib.suppress(Killed):
            yield
