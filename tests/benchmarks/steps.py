"""One data step of the real pipeline in a process of its own: `python -m tests.benchmarks.steps STEP IMAGES ROOT`.

Prints a JSON line: `seconds` from the first to the last moment of TFX's run, without imports, and `peak_bytes`, the
largest memory the process had. ROOT holds TFX's records: `transform` finds there what `ingestion` made.
"""

import json
import resource
import sys
import time
from pathlib import Path

from components.example_gen.component import ImageExampleGen
from components.example_gen.config import DataConfig
from components.transform.component import transform
from tests.benchmarks.photos import PHOTO
from tests.local_run import run_locally


def run(step: str, images: Path, root: Path) -> dict[str, float]:
    """Runs the steps up to the one named; those before it are taken from the cache."""
    example_gen = ImageExampleGen(DataConfig(path=str(images)), PHOTO)
    steps = [example_gen]
    if step == "transform":
        steps.append(transform(example_gen.outputs["examples"], example_gen.outputs["schema"], PHOTO))
    start = time.perf_counter()
    run_locally(steps, root)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
