"""One data step of the real pipeline in a separate process: `python -m tests.benchmarks.steps STEP IMAGES ROOT`.

Prints a JSON line: `seconds`, the duration of TFX's run without imports, and `peak_bytes`, the peak memory of the
process. ROOT contains TFX's metadata: there the other steps find the output of `ingestion`.
"""

import json
import sys
import time
from pathlib import Path

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.common.importer import Importer
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from restem.evaluator.component import Evaluator
from restem.evaluator.config import EvaluateConfig
from restem.example_gen.component import ImageExampleGen
from restem.example_gen.config import DataConfig
from restem.example_gen.validator import statistics_gen
from restem.transform.component import transform
from tests.benchmarks.memory import peak_bytes
from tests.benchmarks.photos import PHOTO
from tests.local_run import run_locally
from tests.tiny_model import export_tiny


def evaluation(examples: Channel, root: Path) -> list[BaseComponent]:
    """The Evaluator with two tiny models, so that the models themselves use almost no memory."""
    models = {}
    for name in ("candidate", "baseline"):
        folder = root / name
        if not folder.exists():
            export_tiny(folder / "Format-Serving", [f"class{i}" for i in range(4)], size=224, channels=3)
        models[name] = Importer(source_uri=str(folder), artifact_type=standard_artifacts.Model).with_id(name)
    candidate, baseline = (model.outputs["result"] for model in models.values())
    return [*models.values(), Evaluator(examples, candidate, baseline, EvaluateConfig())]


def run(step: str, images: Path, root: Path) -> dict[str, float]:
    """Runs the steps up to `step`; the earlier ones come from the cache."""
    example_gen = ImageExampleGen(DataConfig(path=str(images)), PHOTO)
    examples = example_gen.outputs["examples"]
    steps = [example_gen]
    if step == "transform":
        steps.append(transform(examples, example_gen.outputs["schema"], PHOTO))
    elif step == "statistics":
        steps.append(statistics_gen(examples))
    elif step == "evaluator":
        steps += evaluation(examples, root)
    start = time.perf_counter()
    run_locally(steps, root)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_bytes": peak_bytes()}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
