"""The Baseline step: the stock ResNet, trained like the candidate, or a model that was pushed before."""

from typing import Any

from tfx import types
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter
from tfx.types.standard_component_specs import TrainerSpec
from tfx.utils import json_utils

from restem.baseline.driver import Driver
from restem.baseline.executor import Executor
from restem.evaluator.config import LATEST_APPROVED, STOCK
from restem.fingerprint import code_fingerprint
from restem.trainer.component import training_parameters


class BaselineSpec(TrainerSpec):
    """A Trainer's inputs and parameters, and what is needed to evaluate an existing model."""

    PARAMETERS = {  # noqa: RUF012 - TFX requires plain dicts
        **TrainerSpec.PARAMETERS,
        "baseline": ExecutionParameter(type=str),
        "destination": ExecutionParameter(type=str, optional=True),
        "verify_key": ExecutionParameter(type=str, optional=True),
        "allow_class_changes": ExecutionParameter(type=int, optional=True),
        "code": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        **TrainerSpec.INPUTS,
        "raw_examples": ChannelParameter(type=standard_artifacts.Examples),
    }


class Baseline(BaseComponent):
    """Outputs a Model and a ModelRun, like the candidate's Trainer.

    It is an ordinary step instead of TFX's Resolver because the open-source Kubeflow backend does not run Resolvers,
    and because a first run needs a baseline too. The stock network starts from the same source weights and trains on
    the same images with the same budget; it converts the images to red, green and blue.
    """

    SPEC_CLASS = BaselineSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        schema: types.BaseChannel,
        raw_examples: types.BaseChannel,
        *,
        baseline: str,
        destination: str,
        verify_key: str | None = None,
        allow_class_changes: bool = False,
        sections: dict[str, Any],
        config: dict[str, Any],
        base_model: types.BaseChannel | None = None,
        hyperparameters: types.BaseChannel | None = None,
    ) -> None:
        """Describes the step.

        Args:
          examples: transformed examples.
          transform_graph: the output of Transform.
          schema: the schema with the class names.
          raw_examples: the output of ImageExampleGen; an existing model is evaluated on their split `test`.
          baseline: `evaluate.baseline`: stock, latest_approved or a folder.
          destination: the folder of approved versions.
          verify_key: the file of the public key by which a version must be signed.
          allow_class_changes: whether a class of the newest approved version may be missing.
          sections: the sections `image`, `model`, `stem` and `train`, as dicts; the baseline keeps the stock stem.
          config: the complete resolved configuration, for the record.
          base_model: the Pretrain step's checkpoint.
          hyperparameters: the Tuner's values, of which the baseline takes those of the section `train`.
        """
        parameters = training_parameters("baseline", sections, config)
        super().__init__(
            spec=BaselineSpec(
                **{**parameters, "custom_config": json_utils.dumps(parameters["custom_config"])},
                examples=examples,
                transform_graph=transform_graph,
                schema=schema,
                raw_examples=raw_examples,
                base_model=base_model,
                hyperparameters=hyperparameters,
                baseline=baseline,
                # A different push destination must not retrain the stock network.
                destination=destination if baseline == LATEST_APPROVED else None,
                verify_key=None if baseline == STOCK else verify_key,
                allow_class_changes=1 if baseline == LATEST_APPROVED and allow_class_changes else None,
                code=code_fingerprint("baseline.driver", "baseline.executor"),
                model=types.Channel(type=standard_artifacts.Model),
                model_run=types.Channel(type=standard_artifacts.ModelRun),
            )
        )
