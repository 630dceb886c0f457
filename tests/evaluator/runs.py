"""The Evaluator's executor on tiny models, as the pipeline calls it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from restem.evaluator.answers import FOLDER
from restem.evaluator.component import eval_config
from restem.evaluator.config import EvaluateConfig
from restem.evaluator.executor import Executor
from restem.evaluator.verdict import read_verdict
from tests.tiny_model import artifact


@dataclass(frozen=True)
class Run:
    """The artifacts of an evaluation and its verdict."""

    evaluation: Path
    blessing: Any
    model: Any
    verdict: dict[str, Any]


def evaluate(config: EvaluateConfig, folder: Path, examples: Any, candidate: Path, baseline: Path) -> Run:
    """Evaluates a candidate; the models' folders hold `Format-Serving`."""
    stale = folder / "evaluation" / FOLDER / "part-stale.gz"  # of an attempt that was interrupted
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"half")
    model = artifact(standard_artifacts.Model, candidate)
    inputs = {
        "examples": [examples],
        "model": [model],
        "baseline_model": [artifact(standard_artifacts.Model, baseline)],
    }
    blessing = artifact(standard_artifacts.ModelBlessing, folder / "blessing")
    outputs = {
        "evaluation": [artifact(standard_artifacts.ModelEvaluation, folder / "evaluation")],
        "blessing": [blessing],
    }
    properties = {
        "eval_config": json_format.MessageToJson(eval_config(config)),
        "example_splits": '["test"]',
        "gate": config.model_dump_json(),
    }
    context = BaseBeamExecutor.Context(beam_pipeline_args=["--runner=DirectRunner"], tmp_dir=str(folder / "tmp"))
    Executor(context).Do(inputs, outputs, properties)
    verdict = read_verdict(str(folder / "evaluation"), str(folder / "blessing"))
    return Run(folder / "evaluation", blessing, model, verdict)
