"""`python -m tests.soak.kills`: runs that are killed at random moments end as a run that nobody disturbed.

Killed with SIGKILL is the command, its working process, or both at once. A killed run is started again, and may be
killed again. When it has ended, these must be as in the undisturbed run: the figures and the verdict, all weights bit
for bit, the files in the root (no more and no fewer), and each step was finished once. No process and no temporary
file stays. --out adds up what several calls with other seeds did.

With --beam-workers N, Beam's functions run in N processes, and one of these is killed, in each of the steps on Beam in
turn: the run must end with the sentence on it, and the next one as above.
"""

import argparse
import contextlib
import json
import math
import os
import random
import re
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.kills import trained
from tests.soak.measure import BEAM, GROUP, PARENT, WORKER, Ended, restem
from tests.soak.year import Night, write_span

CONFIG = """
name: kills
data: {path: images/night-1}
image: {size: 16, channels: 1}
model: {backbone: ResNet18, weights: none}
stem: {cifar: true}
train:
  deterministic: true
  batch_size: 32
  head: {epochs: 2}
  all: {epochs: 1}
  checkpoint: {every: 0}
evaluate: {min_accuracy: 0, min_improvement: -1}
retention: {runs: 1}
"""
OUT = Path(__file__).parents[1] / "benchmarks" / "whole_run_kills.json"
START = "start-up"
ON_BEAM = ("ImageExampleGen", "StatisticsGen", "Transform", "Evaluator")
LOST_WORKER = "a worker process of Beam ended before its work was done"
RUNNING = re.compile(r"Component (\w+) is (running|finished)")
COMPLETE = 3  # ML Metadata's number of a finished execution; one from the cache has another
FIGURES = ("blessed", "reason", "requirements", "metrics", "quarantined")


@dataclass(frozen=True)
class Kill:
    """Whom to kill, so many seconds after a step began."""

    who: str
    step: str
    after: float


class Trial:
    """A root on which one configuration runs, killed or not, until it has ended."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder, self.root, self._config = folder, folder / "root", config
        self.temporary = folder / "temporary"
        self.temporary.mkdir(parents=True)

    def run(self, kill: Kill | None = None) -> Ended:
        """Starts it, or goes on; it is killed if it gets to the moment.

        Raises:
          AssertionError: a process is alive afterwards, or the reason of the failure is not said.
        """
        before, log = len(self._logs()), self.folder / "console.log"
        said_before = log.stat().st_size if log.is_file() else 0

        def begun() -> bool:
            assert kill is not None
            logs = self._logs()[before:]
            running = f"Component {kill.step} is running"
            return kill.step == START or any(running in log.read_text("utf-8") for log in logs)

        moment: dict[str, Any] = {} if kill is None else {"kill_after": kill.after, "kill": kill.who, "since": begun}
        command = ("run", "--config", self._config, "--root", self.root, "--json")
        ended = restem(*command, log=log, environment={**os.environ, "TMPDIR": str(self.temporary)}, **moment)
        alive = [
            one for one in psutil.process_iter(["cmdline"]) if str(self.root) in " ".join(one.info["cmdline"] or ())
        ]
        assert not alive, f"these are still alive: {alive}"
        if kill is not None and kill.who == BEAM and ended.killed and ended.code != 0:
            said = log.read_bytes()[said_before:].decode("utf-8")
            assert LOST_WORKER in said, f"after a killed worker of Beam in {self.step()}: {said}"
        return ended

    def step(self) -> str:
        """The step in which the newest start was killed."""
        logs = self._logs()[-1:]  # none, if it was killed before it had one
        found = RUNNING.findall(logs[0].read_text(encoding="utf-8")) if logs else []
        name, state = found[-1] if found else ("", "")
        return name if state == "running" else "between steps" if name else START

    def _logs(self) -> list[Path]:
        return sorted(self.root.glob("logs/*.log"), key=lambda file: file.stat().st_mtime)

    def outcome(self, ended: Ended) -> dict[str, Any]:
        """What must be as in the undisturbed run."""
        assert ended.code == 0, f"exit code {ended.code}, see {self.folder}"
        result = json.loads(ended.out.splitlines()[-1])
        with contextlib.closing(sqlite3.connect(self.root / "metadata.sqlite")) as database:
            steps = database.execute(
                "SELECT Type.name, COUNT(*) FROM Execution JOIN Type ON Type.id = Execution.type_id"
                " WHERE last_known_state = ? GROUP BY Type.name",
                (COMPLETE,),
            ).fetchall()
        weights = {
            name: (value.shape, value.tobytes()) for name, value in trained(self.root, ("Baseline", "Trainer")).items()
        }
        return {
            "figures": {name: result[name] for name in FIGURES},
            "weights": weights,
            "steps": dict(steps),
            "files": self._files(),
            "temporary files": sorted(str(path) for path in self.temporary.rglob("*")),
        }

    def _files(self) -> Counter:
        """The files of the root without the logs; numbers in their paths count executions and seconds."""
        files = [path.relative_to(self.root) for path in self.root.rglob("*") if not path.is_dir()]
        return Counter(re.sub(r"\d+", "N", str(path)) for path in files if path.parts[0] != "logs")


def kills_of_a_run(chance: random.Random, seconds: dict[str, float], *, beam: bool) -> Iterator[Kill | None]:
    """The kills of the starts of one run; None: that start is left alone.

    A moment is random over the whole run: a step that takes twice as long is hit twice as often. With `beam`, it is
    random in each of the steps on Beam in turn.
    """
    if beam:
        yield from (Kill(BEAM, step, chance.uniform(0, seconds[step])) for step in ON_BEAM)
        yield None
    while True:
        who = chance.choice((PARENT, WORKER, GROUP))
        (step,) = chance.choices(list(seconds), weights=list(seconds.values()))
        yield Kill(who, step, chance.uniform(0, seconds[step]))


def kill_runs(folder: Path, kills: int, seed: int, out: Path, beam_workers: int | None = None) -> dict[str, Any]:
    """Kills until `out` counts so many kills, each run until it ends; returns who was killed in which step.

    Raises:
      AssertionError: something is not as in the undisturbed run; the folder stays.
    """
    chance = random.Random(seed)
    write_span(folder / "images", Night(1, True, 3, (), None), seed)
    config = folder / "kills.yaml"
    workers = "" if beam_workers is None else f"beam: {{parallelism: {beam_workers}}}\n"
    config.write_text(CONFIG + workers, encoding="utf-8")
    undisturbed = Trial(folder / "undisturbed", config)
    first = undisturbed.run()
    expected = undisturbed.outcome(first)
    seconds: dict[str, float] = json.loads(first.out.splitlines()[-1])["seconds"]
    begun = time.monotonic()
    done = read_done(out)
    if seed in done["seeds"]:
        raise SystemExit(f"{out} has the kills of the seed {seed} already")
    hits: Counter = Counter()
    runs = 0
    while done["kills"] + sum(hits.values()) < kills:
        trial = Trial(folder / f"run-{runs}", config)
        for kill in kills_of_a_run(chance, seconds, beam=beam_workers is not None):
            ended = trial.run(kill)
            if not ended.killed or ended.code == 0:
                break
            assert kill is not None
            hits[kill.who, trial.step()] += 1
        got = trial.outcome(ended)
        for name, value in expected.items():
            assert same(value, got[name]), f"{trial.folder}: {name} differ: {difference(value, got[name])}"
        shutil.rmtree(trial.folder)
        runs += 1
        result = {
            "seeds": [*done["seeds"], seed],
            "kills": done["kills"] + sum(hits.values()),
            "runs": done["runs"] + runs,
            "minutes": round(done["minutes"] + (time.monotonic() - begun) / 60, 1),
            "killed": dict(Counter(done["killed"]) + Counter(who for who, _ in hits.elements())),
            "in": dict((Counter(done["in"]) + Counter(step for _, step in hits.elements())).most_common()),
            "weights": len(expected["weights"]),
        }
        print(f"{result['kills']} kills, {result['runs']} runs ended as the undisturbed one, {dict(hits)}", flush=True)
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return read_done(out)


def read_done(out: Path) -> dict[str, Any]:
    """What earlier calls counted."""
    if out.is_file():
        return json.loads(out.read_text(encoding="utf-8"))
    return {"seeds": [], "kills": 0, "runs": 0, "minutes": 0.0, "killed": {}, "in": {}}


def same(expected: Any, got: Any) -> bool:
    """Whether two values are equal; numbers to 1e-6: TFMA's batches follow the time they take."""
    if isinstance(expected, float) and isinstance(got, float):
        return math.isclose(expected, got, rel_tol=1e-6)
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(same(value, got[name]) for name, value in expected.items())
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(same, expected, got))
    return bool(expected == got)


def difference(expected: Any, got: Any) -> str:
    """What two values do not share, shortly."""
    if isinstance(expected, dict):
        names = [name for name in {**expected, **got} if expected.get(name) != got.get(name)]
        return str({name: (expected.get(name), got.get(name)) for name in names})[:2000]
    return f"{expected}, {got}"[:2000]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--beam-workers", type=int, metavar="N", help="kill one of Beam's N worker processes")
    parser.add_argument("--folder", type=Path, help="default: a temporary one")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="restem-kills-"))
    kill_runs(folder, given.kills, given.seed, given.out, given.beam_workers)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
