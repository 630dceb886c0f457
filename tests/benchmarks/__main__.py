"""`make bench` runs the benchmarks, prints the results and writes results.json next to this file.

`python -m tests.benchmarks reading` repeats only one part. Each result is a ratio of two speeds that are measured
alternately in one process, because absolute speeds differ between machines and are noisy. `images_per_second` of both
sides shows the order of magnitude.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import batch_norm, data, gate, kills, serving, training, verdict

RESULTS = Path(__file__).with_name("results.json")


def stem_errors() -> list[dict]:
    """What each change keeps, for all six backbones in float64. In a separate process: Keras's precision is global."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, "-m", "restem.stem.table", "--backbones", "all", "--json", file.name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(Path(file.name).read_text(encoding="utf-8"))


PARTS = {
    "preprocessing": data.preprocessing,
    "steps": lambda: data.in_a_folder(data.steps),
    "reading": lambda: [*data.in_a_folder(data.trainer_reading), *data.stored()],
    "stem": stem_errors,
    "training": training.training,
    "kills": kills.kills,
    "gate": gate.gate,
    "verdict": verdict.verdict,
    "batch_norm": batch_norm.batch_norm,
    "serving": serving.serving,
}


def main(parts: list[str]) -> None:
    """Runs all benchmarks or only `parts`; the results of the others are kept, also those of other commands."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    results = [entry for entry in kept if entry["part"] not in PARTS]
    for part, measure in PARTS.items():
        if parts and part not in parts:
            results += [entry for entry in kept if entry["part"] == part]
        else:
            results += [{"part": part, **entry} for entry in measure()]
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for result in (one for one in results if not parts or one["part"] in parts):
        goal = f"; the goal is {result['goal']}" if "goal" in result else ""
        print(f"{result['name']}: {result['value']:.3g} ({result['unit']}, against {result['compared_with']}{goal})")


if __name__ == "__main__":
    main(sys.argv[1:])
