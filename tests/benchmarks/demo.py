"""The demo with several seeds and on emulated processor types: `python -m tests.benchmarks.demo`.

It takes half an hour on two cores, so `make bench` leaves it out. It writes demo.json next to this file after every
run, and continues where it stopped. README.md and tests/e2e/test_demo.py claim only what is in that file.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from restem.evaluator.paired import paired
from restem.processor import ONEDNN, ONEDNN_LIMIT
from restem.run_record import read_evaluation, read_model

RESULTS = Path(__file__).with_name("demo.json")
REPOSITORY = Path(__file__).parents[2]
CONFIG = REPOSITORY / "pipeline" / "configs" / "digits.yaml"
# Name -> environment. With oneDNN's limit, a processor computes like one with only that instruction set.
SETTINGS = {
    "AVX512_CORE": {ONEDNN: "1", ONEDNN_LIMIT: "AVX512_CORE"},
    "AVX2": {ONEDNN: "1", ONEDNN_LIMIT: "AVX2"},
    "SSE41": {ONEDNN: "1", ONEDNN_LIMIT: "SSE41"},
    "without oneDNN": {ONEDNN: "0"},
}
# The last two settings take three and eight times as long as the first. With the training loop of version 0.1.0, five
# seeds on the first two and one on the others were approved (candidate 0.856 to 0.892, baseline 0.589 to 0.650).
SEEDS = {"AVX512_CORE": 2, "AVX2": 2}
RUNS = [(setting, seed) for setting, seeds in SEEDS.items() for seed in range(seeds)]


def run(setting: str, seed: int, root: Path) -> dict[str, Any]:
    """One run of the demo. Runs with the same setting share a root, and so the cached data steps."""
    restem = str(Path(sys.executable).with_name("restem"))
    command = [restem, "run", "--config", str(CONFIG), "--root", str(root), f"--set=train.seed={seed}", "--json"]
    done = subprocess.run(command, env={**os.environ, **SETTINGS[setting]}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return row(setting, seed, root, json.loads(done.stdout.splitlines()[-1]))


def row(setting: str, seed: int, root: Path, result: dict[str, Any]) -> dict[str, Any]:
    """The results of one run. The interval of the paired difference is that of the gate: 95% one-sided."""
    pair = paired(*(_right(root / "pipeline" / step / "model_run", seed) for step in ("Trainer", "Baseline")))
    return {
        "setting": setting,
        "seed": seed,
        "approved": result["blessed"],
        "pushed": result["pushed_to"] is not None,
        "candidate": round(result["metrics"]["candidate"]["accuracy"], 4),
        "baseline": round(result["metrics"]["baseline"]["accuracy"], 4),
        "difference": round(pair.difference.value, 4),
        "low": round(pair.difference.low, 4),
        "high": round(pair.difference.high, 4),
    }


def _right(runs: Path, seed: int) -> np.ndarray:
    """Whether the network with that seed classifies each test image correctly, bool [N], sorted by path."""
    (folder,) = [file.parent for file in runs.glob("*/model.json") if read_model(file.parent).seed == seed]
    evaluation = read_evaluation(folder)
    return evaluation.right[np.argsort(evaluation.paths)]


def read() -> list[dict[str, Any]]:
    """The rows measured so far."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []


def write(rows: list[dict[str, Any]]) -> None:
    """Writes one line per run, so that diffs are readable."""
    names = list(SETTINGS)
    rows = sorted(rows, key=lambda one: (names.index(one["setting"]), one["seed"]))
    RESULTS.write_text("[\n" + ",\n".join(json.dumps(one) for one in rows) + "\n]\n", encoding="utf-8")


def summary(rows: list[dict[str, Any]]) -> str:
    """The sentence of README.md; the last figure is rounded down."""

    def span(key: str) -> str:
        values = [one[key] for one in rows]
        return f"{min(values):.2f} to {max(values):.2f}"

    return (
        f"In {len(rows)} runs with {len({one['seed'] for one in rows})} seeds and "
        f"{len({one['setting'] for one in rows})} emulated processor types, the candidate's accuracy was "
        f"{span('candidate')} and the baseline's {span('baseline')}, and the lower end of the 95% confidence interval "
        f"of the difference was never below +{math.floor(100 * min(one['low'] for one in rows)) / 100:.2f}"
    )


def main() -> None:
    """Runs what is missing, and prints the summary."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--anew", action="store_true", help="run everything again")
    rows = [] if parser.parse_args().anew else read()
    with tempfile.TemporaryDirectory(prefix="restem-") as folder:
        for setting, seed in RUNS:
            if not any((one["setting"], one["seed"]) == (setting, seed) for one in rows):
                rows.append(run(setting, seed, Path(folder) / setting.replace(" ", "-")))
                write(rows)
                print(json.dumps(rows[-1]), flush=True)
    print(summary(rows))


if __name__ == "__main__":
    main()
