"""The candidate's Trainer: TFX's own, or the one that goes on from a pushed model."""

from typing import Any

from tfx import types
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter
from tfx.types.standard_component_specs import TrainerSpec
from tfx.utils import json_utils

from restem.fingerprint import code_fingerprint
from restem.start.driver import Driver
from restem.start.executor import Executor
from restem.trainer.component import trainer, training_parameters
from restem.trainer.model_config import LATEST_APPROVED, ModelConfig


class ContinuingTrainerSpec(TrainerSpec):
    """A Trainer's inputs and parameters, and what is needed to find and evaluate an existing model."""

    PARAMETERS = {  # noqa: RUF012 - TFX requires plain dicts
        **TrainerSpec.PARAMETERS,
        "destination": ExecutionParameter(type=str, optional=True),
        "verify_key": ExecutionParameter(type=str, optional=True),
        "code": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        **TrainerSpec.INPUTS,
        "raw_examples": ChannelParameter(type=standard_artifacts.Examples),
    }


class ContinuingTrainer(BaseComponent):
    """Outputs a Model and a ModelRun, like TFX's Trainer."""

    SPEC_CLASS = ContinuingTrainerSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        schema: types.BaseChannel,
        raw_examples: types.BaseChannel,
        *,
        destination: str | None,
        verify_key: str | None,
        sections: dict[str, Any],
        config: dict[str, Any],
    ) -> None:
        """Describes the step; the arguments are those of `candidate_trainer`."""
        parameters = training_parameters("candidate", sections, config)
        super().__init__(
            spec=ContinuingTrainerSpec(
                **{**parameters, "custom_config": json_utils.dumps(parameters["custom_config"])},
                examples=examples,
                transform_graph=transform_graph,
                schema=schema,
                raw_examples=raw_examples,
                destination=destination,
                verify_key=verify_key,
                code=code_fingerprint("start.driver", "start.executor"),
                model=types.Channel(type=standard_artifacts.Model),
                model_run=types.Channel(type=standard_artifacts.ModelRun),
            )
        )


def candidate_trainer(
    *,
    examples: types.BaseChannel,
    transform_graph: types.BaseChannel,
    schema: types.BaseChannel,
    raw_examples: types.BaseChannel,
    destination: str,
    verify_key: str | None = None,
    sections: dict[str, Any],
    config: dict[str, Any],
    base_model: types.BaseChannel | None = None,
    hyperparameters: types.BaseChannel | None = None,
) -> BaseComponent:
    """The step `Trainer`.

    Args:
      examples: transformed examples.
      transform_graph: the output of Transform.
      schema: the schema with the class names.
      raw_examples: the output of ImageExampleGen; a model that needs no training is evaluated on their split `test`.
      destination: the folder of approved versions.
      verify_key: the file of the public key by which a version must be signed.
      sections: the sections `image`, `model`, `stem` and `train`, as dicts; a change in them triggers a new training.
      config: the complete resolved configuration, for the record.
      base_model: the Pretrain step's checkpoint.
      hyperparameters: the Tuner's values; never for a training that goes on from a pushed model.
    """
    model = ModelConfig.model_validate(sections["model"])
    shared: dict[str, Any] = {"examples": examples, "transform_graph": transform_graph, "schema": schema}
    if not model.continues:
        return trainer(
            **shared,
            role="candidate",
            sections=sections,
            config=config,
            base_model=base_model,
            hyperparameters=hyperparameters,
        )
    step = ContinuingTrainer(
        **shared,
        raw_examples=raw_examples,
        destination=destination if model.weights == LATEST_APPROVED else None,
        verify_key=verify_key,
        sections=sections,
        config=config,
    )
    return step.with_id("Trainer")
