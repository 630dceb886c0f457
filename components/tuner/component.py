"""The Tuner step: TFX's Tuner with this project's `tuner_fn`. Importing this needs KerasTuner."""

from typing import Any

from tfx import types
from tfx.components.tuner.component import Tuner as TfxTuner
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.proto import trainer_pb2

from restem.fingerprint import code_fingerprint
from restem.trainer.component import training_parameters
from restem.tuner.executor import Executor


class Tuner(TfxTuner):
    """TFX's, with an executor that also writes trials.json."""

    EXECUTOR_SPEC = ExecutorClassSpec(Executor)


def tuner(
    examples: types.BaseChannel,
    transform_graph: types.BaseChannel,
    schema: types.BaseChannel,
    *,
    sections: dict[str, Any],
    tune: dict[str, Any],
    base_model: types.BaseChannel | None = None,
) -> Tuner:
    """The step that chooses values for the Trainer and the Baseline.

    Args:
      examples: as for the Trainer, of which it reads `train` and `val`.
      transform_graph: the output of Transform.
      schema: the schema with the class names.
      sections: the sections `image`, `model`, `stem` and `train`, as dicts.
      tune: the section, as a dict.
      base_model: the Pretrain step's checkpoint.
    """
    custom = training_parameters("candidate", sections, {})["custom_config"]
    custom = {name: value for name, value in custom.items() if name != "config"}
    return Tuner(
        examples=examples,
        transform_graph=transform_graph,
        schema=schema,
        base_model=base_model,
        tuner_fn="restem.tuner.module.tuner_fn",
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        # Of the validation images TFX would refuse that there are none, in words of its own.
        eval_args=trainer_pb2.EvalArgs(splits=["train"]),
        custom_config={**custom, "tune": tune, "code": code_fingerprint("tuner.module")},
    )
