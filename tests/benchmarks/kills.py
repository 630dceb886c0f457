"""A run that is killed at ten random moments of its trainings ends with the weights of an undisturbed run, bit for bit.

The kills are SIGKILL, to all of the run's processes at once. A checkpoint is written after every step, so that no
epoch that was reported may be reported again.
"""

import random
import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorflow as tf

from restem.run_record import read_history
from tests.soak.measure import Ended, restem

CONFIG = """
name: kills
data: {path: "embedded:digits"}
image: {size: 32, channels: 3}
model: {weights: pretrain}
pretrain: {size: 32, epochs: 2}
train:
  deterministic: true
  batch_size: 64
  augment: {translation: 0.1, brightness: 0.1}
  head: {epochs: 3}
  all: {epochs: 2, learning_rate: 0.0003}
  checkpoint: {every: 0}
evaluate: {min_accuracy: 0, min_improvement: -1}
"""
KILLS = {"Pretrain": 4, "Baseline": 3, "Trainer": 3}  # in the order in which they run
EPOCH = re.compile(r"restem: (\w+): epoch (\d+) of \d+, loss .* images/s, ")
SEED = 20261126  # of the moments


class Run:
    """`restem run` on one root, started as often as it is killed."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self._console = folder / "console.log"
        self._config = folder / "kills.yaml"
        folder.mkdir()
        self._config.write_text(CONFIG, encoding="utf-8")

    def _start(self, **moment: Any) -> Ended:
        """Starts it, or goes on."""
        return restem("run", "--config", self._config, "--root", self.root, log=self._console, **moment)

    def log(self) -> str:
        """The log of the newest start."""
        logs = sorted(self.root.glob("logs/*.log"), key=lambda file: file.stat().st_mtime)
        return logs[-1].read_text(encoding="utf-8") if logs else ""

    def kill_in(self, step: str, moment: random.Random) -> bool:
        """Goes on, and kills the run up to 15 seconds after the step began to train; False: it was over before."""
        before = len(list(self.root.glob("logs/*.log")))

        def trains() -> bool:
            return len(list(self.root.glob("logs/*.log"))) > before and self._trains(step)

        ended = self._start(kill_after=moment.uniform(0, 15), since=trains)
        return ended.killed and f"Component {step} is finished" not in self.log()

    def _trains(self, step: str) -> bool:
        _, found, after = self.log().rpartition(f"Component {step} is running")
        return bool(found) and ("restem: continuing from" in after or "epoch" in after)

    def finish(self) -> None:
        """Goes on to the end."""
        if self._start().code:
            raise RuntimeError(self.log()[-3000:])

    def epochs(self) -> Counter:
        """How often each epoch was reported, by step, phase and number, over all starts."""
        found: Counter = Counter()
        for log in self.root.glob("logs/*.log"):
            step = ""
            for line in log.read_text(encoding="utf-8").splitlines():
                step = next((name for name in KILLS if f"Component {name} is running" in line), step)
                if epoch := EPOCH.search(line):
                    found[step, epoch[1], epoch[2]] += 1
        return found

    def histories(self) -> dict[str, Any]:
        """The histories without their times."""
        found = {}
        for step in KILLS:
            (file,) = (self.root / "pipeline" / step / "model_run").glob("*/history.json")
            found[step] = [(one.phase, one.epoch, one.loss, one.accuracy) for one in read_history(file.parent)]
        return found


def trained(root: Path, steps: Iterable[str]) -> dict[str, np.ndarray]:
    """Everything that was trained, by step and name."""
    found = {}
    for step in steps:
        for index in (root / "pipeline" / step / "model").glob("*/**/variables.index"):
            reader = tf.train.load_checkpoint(str(index.with_suffix("")))
            names = [name for name in reader.get_variable_to_shape_map() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
            found.update({f"{step}/{name}": reader.get_tensor(name) for name in names})
    for file in (root / "pipeline" / "Pretrain" / "model").glob("**/*.weights.h5"):
        with h5py.File(file) as tensors:
            tensors.visititems(lambda name, one: found.update({name: one[()]} if isinstance(one, h5py.Dataset) else {}))
    return found


def kills() -> list[dict[str, Any]]:
    """The largest difference of a weight between the two runs, which is 0, and how often an epoch was repeated."""
    moment = random.Random(SEED)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, killed = Run(Path(folder) / "undisturbed"), Run(Path(folder) / "killed")
        undisturbed.finish()
        hits = {step: sum(killed.kill_in(step, moment) for _ in range(count)) for step, count in KILLS.items()}
        killed.finish()
        expected, got = trained(undisturbed.root, KILLS), trained(killed.root, KILLS)
        if expected.keys() != got.keys() or undisturbed.histories() != killed.histories():
            raise AssertionError("the histories differ, or the models have other variables")
        apart = max(
            float(np.max(np.abs(expected[name].astype(np.float64) - got[name])))
            for name in expected
            if expected[name].dtype.kind == "f"
        )
        repeated = sum(count - 1 for count in killed.epochs().values())
        return [
            {
                "name": "killed in training: largest difference of a weight",
                "value": apart,
                "unit": "difference",
                "compared_with": "the undisturbed run",
                "goal": 0,
                "kills": hits,
                "epochs_computed_twice": repeated,
                "weights": len(expected),
            }
        ]
