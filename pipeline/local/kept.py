"""Decides which runs of a root stay, and so which of its results are needed."""

from collections.abc import Mapping
from dataclasses import dataclass

from restem.pipeline.config.retention import RetentionConfig
from restem.pipeline.local.lineage import Execution, Lineage, Run

# What explains a released version: its run's report and verdict, and the records that they were made of. Its examples
# and networks are not among them: the version itself has the model.
EXPLAIN = frozenset(
    {
        ("ImageExampleGen", "quarantine"),
        ("Pretrain", "model_run"),
        ("Tuner", "tuner_results"),
        ("Trainer", "model_run"),
        ("Baseline", "model_run"),
        ("Evaluator", "evaluation"),
        ("Evaluator", "blessing"),
        ("Report", "report"),
        ("Report", "release"),
    }
)
QUARANTINE = "quarantine"


@dataclass(frozen=True)
class Needs:
    """What stays.

    Attributes:
      runs: the runs that stay as a whole, newest first, and why: start -> a phrase.
      results: the needed results, and why: id -> a phrase, of the first need that was found.
      executions: the steps of the runs that stay, whether they finished or not.
    """

    runs: Mapping[str, str]
    results: Mapping[int, str]
    executions: frozenset[int]


def needs(lineage: Lineage, name: str, retention: RetentionConfig, releases: Mapping[str, int]) -> Needs:
    """Decides it.

    Args:
      lineage: what the root's database knows.
      name: the configuration's name; the runs of other configurations in this root stay.
      retention: how much stays.
      releases: the runs that pushed the versions that stay: start -> version.
    """
    runs = kept_runs(lineage.runs, name, retention.runs)
    by_start = {run.start: run for run in lineage.runs}
    results: dict[int, str] = {}
    executions: set[int] = set()
    for start, reason in runs.items():
        for execution in by_start[start].executions:
            executions.add(execution.id)
            for result in sorted(execution.results):
                results.setdefault(result, f"the run {start[:19]} needs it, {reason}")
    if retention.runs is None:
        return Needs(runs, results, frozenset(executions))
    for run in _finished(lineage.runs, name)[: retention.quarantine or retention.runs]:
        for execution in run.executions:
            for result in execution.outputs.get(QUARANTINE, ()):
                results.setdefault(result, f"the list of refused files of the run {run.start[:19]}")
    for start, version in releases.items():
        for execution in by_start[start].executions if start in by_start else ():
            for result in _explaining(execution):
                results.setdefault(result, f"it explains version {version}, of the run {start[:19]}")
    return Needs(runs, results, frozenset(executions))


def kept_runs(runs: tuple[Run, ...], name: str, count: int | None) -> dict[str, str]:
    """The runs that stay as a whole, newest first, and why.

    Of the unfinished runs, those after the newest finished one stay: the next run goes on with their results.

    Args:
      runs: all runs, oldest first.
      name: the configuration's name.
      count: how many finished runs stay, and how many unfinished ones at most; None: all.
    """
    if count is None:
        return {run.start: "all runs are kept" for run in reversed(runs)}
    finished = _finished(runs, name)
    newest = finished[0].start if finished else ""
    unfinished = [run for run in reversed(runs) if run.pipeline == name and not run.finished and run.start > newest]
    reasons = {run.start: "the next run goes on with it" for run in unfinished[:count]}
    reasons |= {run.start: f"one of the {count} newest" if count > 1 else "the newest" for run in finished[:count]}
    reasons |= {run.start: f"of the configuration {run.pipeline}" for run in runs if run.pipeline not in (name, "")}
    return dict(sorted(reasons.items(), reverse=True))


def _finished(runs: tuple[Run, ...], name: str) -> list[Run]:
    """The finished runs of a configuration, newest first."""
    return [run for run in reversed(runs) if run.pipeline == name and run.finished]


def _explaining(execution: Execution) -> list[int]:
    return [each for key, results in execution.outputs.items() if (execution.step, key) in EXPLAIN for each in results]
