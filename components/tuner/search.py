"""The search: KerasTuner proposes values, each trial is measured, and an interrupted search goes on where it was.

KerasTuner's own files are not used to continue: they are not written atomically, and the state of its Bayesian oracle's
random numbers is not among them. Instead, the oracle starts again with the same seed. It proposes the same values for
the same results, and trials that are finished are not measured again.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial as Proposal
from keras_tuner.errors import FailedTrialError, FatalError

from restem.errors import RestemError
from restem.run_record import Scores
from restem.trainer.scores import Diverged
from restem.trainer.scratch import Scratch
from restem.tuner.config import TuneConfig, Value
from restem.tuner.space import Space
from restem.tuner.trials import FinishedTrials, Trial, Tuning

LINE_SECONDS = 60.0  # between two lines about the training inside a trial

Measure = Callable[[Mapping[str, Value]], Scores]

log = logging.getLogger("restem")


class Search(BaseTuner):
    """A KerasTuner tuner that calls a function to measure a trial.

    Attributes:
      trials: the finished ones.
    """

    def __init__(
        self,
        tune: TuneConfig,
        measure: Measure,
        *,
        metric: str,
        own: Mapping[str, Value],
        seed: int,
        finished: FinishedTrials,
        folder: str,
        scratch: Scratch | None = None,
    ) -> None:
        """Args:
        tune: the section.
        measure: scores on the validation images of a network trained with these values; raises Diverged if it failed.
        metric: what is compared.
        own: the tuned keys' values in the configuration; they are the first trial if they are in the ranges.
        seed: of the proposals.
        finished: the trials of this search, when it was interrupted before.
        folder: for KerasTuner's files.
        scratch: what the trials need until the search is over.
        """
        self.trials: list[Trial] = []
        self._tune, self._measure, self._metric, self._finished = tune, measure, metric, finished
        self._scratch = scratch
        self._space = Space(tune.over)
        self._own = self._space.proposal(own)
        super().__init__(self._oracle(seed), directory=folder, project_name="trials", overwrite=True)

    def search(self, *_: Any, **__: Any) -> None:
        """Runs all trials.

        Raises:
          RestemError: a trial cannot be run, or all of them failed.
        """
        try:
            with self._scratch or nullcontext():
                super().search(verbose=0)
        except FatalError as error:
            raise (error.__cause__ or error) from None
        if len(self.trials) < self._tune.trials:
            log.info("tune: %d trials are enough: there are no other values", len(self.trials))
        if all(trial.scores is None for trial in self.trials):
            raise RestemError(
                f"all {len(self.trials)} trials failed",
                where="tune",
                given=str(self.trials[0].failure),
                remedy="Lower the ranges of the learning rates in tune.over, or set train.clip_norm: 1.0",
            )

    def result(self) -> Tuning:
        """The record of the search."""
        return Tuning(self._metric, self._tune.epochs, self._own is not None, tuple(self.trials))

    def run_trial(self, trial: Proposal, **_: Any) -> dict[str, float]:
        """Measures one trial, or takes what was measured before the interruption."""
        values = self._space.values(trial.hyperparameters.values)
        try:
            done = self._finished.find(values)
            if done is None:
                done = self._run(values)
                self._finished.add(done)
        except Exception as error:
            # KerasTuner takes every other exception for a failed trial, and goes on.
            raise FatalError(str(error)) from error
        done = replace(done, number=len(self.trials) + 1)
        self.trials.append(done)
        self._tell(done)
        value = self.result().value(done)
        if value is None:
            raise FailedTrialError(done.failure)
        return {self._metric: value}

    def _run(self, values: Mapping[str, Value]) -> Trial:
        number = len(self.trials) + 1
        start = time.monotonic()
        scores, failure = None, None
        try:
            with _few_lines(f"trial {number} of {self._tune.trials}"):
                scores = self._measure(values)
        except Diverged as error:
            failure = f"{error.what}{f' ({error.where})' if error.where else ''}"
        if scores is not None and getattr(scores, self._metric) is None:
            raise RestemError(
                "the metric cannot be measured: a class has no validation image",
                where="tune.metric",
                given=self._metric,
                remedy="Choose another metric, or set a larger data.val_share",
            )
        return Trial(number, values, time.monotonic() - start, scores, failure)

    def _tell(self, trial: Trial) -> None:
        so_far = self.result()
        best = so_far.best
        value, highest = so_far.value(trial), so_far.value(best)
        left = self._tune.trials - len(self.trials)
        seconds = sum(trial.seconds for trial in self.trials) / len(self.trials) * left
        log.info(
            "tune: trial %d of %d: %s: %s%s%s",
            trial.number,
            self._tune.trials,
            ", ".join(f"{name} {_shown(chosen)}" for name, chosen in trial.values.items()),
            f"failed: {trial.failure}" if value is None else f"{self._metric} {value:.4f}",
            "" if highest is None else f", the best so far is {highest:.4f} (trial {best.number})",
            f", about {seconds:.0f} s left" if left else "",
        )

    def _oracle(self, seed: int) -> keras_tuner.Oracle:
        own, space = self._own, self._space
        kind: Any = {
            "random": keras_tuner.oracles.RandomSearchOracle,
            "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
        }[self._tune.search]

        class Oracle(kind):
            def populate_space(self, trial_id: str) -> dict[str, Any]:
                if own is not None and not self.trials:
                    return {"status": "RUNNING", "values": dict(own)}
                proposal = super().populate_space(trial_id)
                if proposal["values"] is None:
                    return proposal
                return {**proposal, "values": space.rounded(proposal["values"])}

        options: dict[str, Any] = {}
        if self._tune.search == "bayesian":
            options = {"num_initial_points": max(2, self._tune.trials // 3)}
        return Oracle(
            objective=keras_tuner.Objective(self._metric, "min" if self._metric == "loss" else "max"),
            max_trials=self._tune.trials,
            hyperparameters=self._space.hyperparameters(),
            allow_new_entries=False,
            tune_new_entries=False,
            seed=seed + 1,  # KerasTuner takes 0 for none, and draws another one each time
            max_consecutive_failed_trials=self._tune.trials + 1,
            **options,
        )


def _shown(value: Value) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


@contextmanager
def _few_lines(prefix: str) -> Iterator[None]:
    """Inside, the training's messages name the trial, and those that are no warnings come once a minute at most."""
    last = time.monotonic()

    def passes(record: logging.LogRecord) -> bool:
        nonlocal last
        now = time.monotonic()
        if record.levelno < logging.WARNING:
            if now - last < LINE_SECONDS:
                return False
            last = now
        record.msg, record.args = f"{prefix}: {record.getMessage()}", ()
        return True

    log.addFilter(passes)
    try:
        yield
    finally:
        log.removeFilter(passes)
