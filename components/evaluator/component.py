"""The Evaluator step: evaluates both models on the same raw test examples, through the same signature, and decides."""

import tensorflow_model_analysis as tfma
import tfx.components
from tfx import types
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ExecutionParameter
from tfx.types.standard_component_specs import EvaluatorSpec
from tfx.utils import json_utils

from restem.evaluator.answers import PREDICTION
from restem.evaluator.config import EvaluateConfig
from restem.evaluator.executor import Executor
from restem.fingerprint import code_fingerprint

ROUNDING = 2e-7  # TFMA computes in 32 bits: 9 of 10 are 0.89999998; the decision on single images is exact


class GateSpec(EvaluatorSpec):
    """TFX's inputs, outputs and parameters, and the requirements."""

    PARAMETERS = {  # noqa: RUF012 - TFX requires plain dicts
        **EvaluatorSpec.PARAMETERS,
        "gate": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
    }


class Evaluator(tfx.components.Evaluator):
    """TFX's Evaluator on the split `test`, with requirements that TFMA's thresholds cannot express."""

    SPEC_CLASS = GateSpec
    EXECUTOR_SPEC = BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel,
        config: EvaluateConfig,
    ) -> None:
        """Describes the step.

        Args:
          examples: raw examples.
          model: the candidate.
          baseline_model: the model that it is compared with.
          config: the requirements and the slices.
        """
        # TFX's own __init__ would make a specification without the additional parameters.
        super(tfx.components.Evaluator, self).__init__(
            spec=GateSpec(
                examples=examples,
                model=model,
                baseline_model=baseline_model,
                example_splits=json_utils.dumps(["test"]),
                eval_config=eval_config(config),
                fairness_indicator_thresholds=json_utils.dumps(None),
                # Another choice of the baseline, and calibration, make another model, which is an input.
                gate=config.model_dump_json(exclude={"baseline", "calibrate"}),
                code=code_fingerprint("evaluator.executor"),
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
            )
        )


def eval_config(config: EvaluateConfig) -> tfma.EvalConfig:
    """What TFMA measures, and the thresholds that it can express: measured values of the accuracy on all images.

    There is always a threshold, because without one TFX writes no blessing. Slices are measured on the answers for
    single images (slices.py): image sizes are no feature of the examples, and TFMA has no paired intervals.
    """
    everything = tfma.SlicingSpec()
    least, above = (
        [
            one.limit
            for one in config.requirements
            if one.kind == kind
            and one.metric == "accuracy"
            and one.level is None
            and not (one.in_class or one.in_slice)
        ]
        for kind in ("at_least", "at_least_above_baseline")
    )
    threshold = tfma.MetricThreshold(
        value_threshold=tfma.GenericValueThreshold(lower_bound={"value": max(least, default=0.0) - ROUNDING})
    )
    if above:
        threshold.change_threshold.CopyFrom(
            tfma.GenericChangeThreshold(
                direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": max(above) - ROUNDING}
            )
        )
    accuracy = tfma.MetricConfig(
        class_name="SparseCategoricalAccuracy",
        config='{"name": "accuracy"}',
        per_slice_thresholds=[{"slicing_specs": [everything], "threshold": threshold}],
    )
    loss = tfma.MetricConfig(class_name="SparseCategoricalCrossentropy", config='{"name": "loss"}')
    count = tfma.MetricConfig(class_name="ExampleCount", config='{"name": "images"}')
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(signature_name="serve_examples", label_key="label_index", prediction_key=PREDICTION)
        ],
        slicing_specs=[everything],
        metrics_specs=[tfma.MetricsSpec(metrics=[accuracy, loss, count])],
    )
