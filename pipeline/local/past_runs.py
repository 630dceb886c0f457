"""The runs that a root folder remembers, read from TFX's metadata database without importing TFX or TensorFlow."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from restem.errors import RestemError
from restem.evaluator.verdict import BLESSED_FILE
from restem.pipeline.local.cache import here
from restem.pipeline.local.lineage import BASELINE, GATE, Result, Run, read_lineage
from restem.record_files import DamagedRecord
from restem.report.comparison import Compared
from restem.run_record import read_evaluation, read_history, read_model
from restem.storage import is_remote

AT = "@"  # ROOT@START names one of a root's runs
SHOWN = 10
# The Report step's inputs: its key -> the step and the output that it comes from.
REPORTED = {
    "candidate_run": ("Trainer", "model_run"),
    "baseline_run": ("Baseline", "model_run"),
    "evaluation": ("Evaluator", "evaluation"),
    "blessing": ("Evaluator", "blessing"),
    "quarantine": ("ImageExampleGen", "quarantine"),
    "examples": ("ImageExampleGen", "examples"),
}


@dataclass(frozen=True)
class PastRun:
    """A run, finished or not.

    Attributes:
      root: its folder.
      start: when it started, in local time, e.g. 2026-11-26T18:48:22.095847; TFX's name of the run.
      outputs: the folders of its artifacts: step -> output -> path; of the steps that finished.
      evaluate: what the Evaluator and the Baseline had of this section; the rest of the configuration is in the
        candidate's record.
      cleaned: whether `restem clean` has removed some of its results, which are not in `outputs`.
    """

    root: Path
    start: str
    outputs: Mapping[str, Mapping[str, str]]
    evaluate: Mapping[str, Any]
    cleaned: bool = False

    @property
    def name(self) -> str:
        """As `find_runs` takes it, to the second."""
        return f"{self.root}{AT}{self.start[:19]}"

    def output(self, step: str, key: str) -> str:
        """The folder of an artifact.

        Raises:
          RestemError: the run has none, or the folder is gone.
        """
        folder = self.outputs.get(step, {}).get(key)
        if folder is None and self.cleaned:
            raise RestemError(
                f"the run's result {key} of the step {step} was removed",
                where=self.name,
                expected="a run that was kept",
                given="a run that restem clean, or a run with a section retention, has cleaned up",
                remedy="retention.runs decides how many runs keep their results",
            )
        if folder is None:
            done = ", ".join(self.outputs) or "none"
            raise RestemError(
                f"the run has no result of the step {step}",
                where=self.name,
                expected="a run that finished",
                given=f"finished steps: {done}",
                remedy="Run it again: restem run goes on where it stopped",
            )
        folder = here(folder, str(self.root))
        if not is_remote(folder) and not Path(folder).is_dir():
            raise RestemError(
                "the files of the run are not where they were written",
                where=self.name,
                expected=folder,
                given="no such folder",
                remedy="Copy them there; or run again: restem run makes what is missing",
            )
        return folder


def find_runs(name: str) -> list[PastRun]:
    """The runs that `name` means, oldest first, at least one.

    Args:
      name: a root folder: all its runs in which a model was evaluated; or ROOT@START with the beginning of a run's
        start time, as in runs/digits@2026-11-26T18: the newest run that starts with it.

    Raises:
      RestemError: there is no such run.
    """
    folder, at, start = name.rpartition(AT)
    if not at or Path(name).is_dir():
        folder, start = name, ""
    if is_remote(folder):
        raise RestemError("a run is read from a folder of this machine", where=name, remedy="Copy the folder to it")
    root = Path(os.path.expanduser(folder)).resolve()
    runs = read_runs(root)
    if start:
        chosen = [run for run in runs if run.start.startswith(start)][-1:]
    else:
        chosen = [run for run in runs if "evaluation" in run.outputs.get("Evaluator", {})]
    if not chosen:
        known = ", ".join(run.start[:19] for run in runs[-SHOWN:]) or "none"
        raise RestemError(
            "there is no such run" if start else "no run in this folder has evaluated a model",
            where=str(root),
            expected=f"one of {known}" if start else "a finished run",
            given=start or f"{len(runs)} unfinished",
            remedy="The runs of a folder are named FOLDER@START, e.g. runs/digits@2026-11-26T18:48",
        )
    return chosen


def report_inputs(run: PastRun) -> dict[str, str]:
    """The folders that its report is made of, by the keys of the Report step's inputs, and its output `release`.

    Raises:
      RestemError: the run has not evaluated a model, or its files are gone.
    """
    inputs = {key: run.output(*source) for key, source in REPORTED.items()}
    optional = {"tuning": ("Tuner", "tuner_results"), "release": ("Report", "release")}
    there = {key: (step, name) for key, (step, name) in optional.items() if name in run.outputs.get(step, {})}
    return inputs | {key: run.output(*source) for key, source in there.items()}


def labels(runs: Sequence[PastRun]) -> list[str]:
    """Short names for a table: the root's own name and the start, or the whole path where they are not unique."""
    short = [f"{run.root.name}{AT}{run.start[:19]}" for run in runs]
    return short if len(set(short)) == len(set(run.name for run in runs)) else [run.name for run in runs]


def read_compared(run: PastRun, label: str) -> Compared:
    """What `restem compare` shows of a run, with this name.

    Raises:
      RestemError: the run has not finished, or its files are gone or damaged.
    """
    trained = run.output("Trainer", "model_run")
    try:
        candidate = read_model(trained)
        # What decided about the training is in its record; a candidate from the cache may have had other requirements.
        evaluate = {**candidate.config.get("evaluate", {}), **run.evaluate}
        config = {**candidate.config, "evaluate": evaluate}
        return Compared(
            name=label,
            candidate=replace(candidate, config=config),
            history=read_history(trained),
            evaluation=read_evaluation(trained),
            blessed=(Path(run.output("Evaluator", "blessing")) / BLESSED_FILE).is_file(),
        )
    except (DamagedRecord, OSError) as error:
        raise RestemError("the record of the run cannot be read", where=trained, given=str(error)) from None


def read_runs(root: Path) -> list[PastRun]:
    """All runs of a root, oldest first.

    Raises:
      RestemError: the folder is no root, or its database cannot be read.
    """
    lineage = read_lineage(root)
    return [_past_run(root, run, lineage.results) for run in lineage.runs]


def _past_run(root: Path, run: Run, results: Mapping[int, Result]) -> PastRun:
    outputs: dict[str, dict[str, str]] = {}
    evaluate: dict[str, Any] = {}
    cleaned = False
    for execution in run.executions:
        if not execution.done:
            continue
        made = {key: results[ids[-1]] for key, ids in execution.outputs.items()}
        cleaned = cleaned or any(result.removed for result in made.values())
        outputs[execution.step] = {key: result.uri for key, result in made.items() if not result.removed}
        if execution.step == "Evaluator" and GATE in execution.properties:
            evaluate |= json.loads(execution.properties[GATE])
        if execution.step == "Baseline" and BASELINE in execution.properties:
            evaluate[BASELINE] = execution.properties[BASELINE]
    return PastRun(root, run.start, outputs, evaluate, cleaned)
