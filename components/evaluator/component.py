"""The Evaluator step: evaluates both models on the same raw test examples, through the same signature."""

import tensorflow_model_analysis as tfma
from tfx import types
from tfx.components import Evaluator

from restem.evaluator.config import EvaluateConfig


def evaluator(
    examples: types.BaseChannel,
    model: types.BaseChannel,
    baseline_model: types.BaseChannel,
    config: EvaluateConfig,
) -> Evaluator:
    """TFX's Evaluator on the split `test`.

    Args:
      examples: raw examples.
      model: the candidate.
      baseline_model: the model that it is compared with.
      config: the thresholds and the slices.
    """
    return Evaluator(
        examples=examples,
        model=model,
        baseline_model=baseline_model,
        example_splits=["test"],
        eval_config=eval_config(config),
    )


def eval_config(config: EvaluateConfig) -> tfma.EvalConfig:
    """The thresholds for TFMA: one on the accuracy, and one on its difference from the baseline's.

    Both apply to all images together. TFMA would apply a plain `threshold` to every slice, even one with few images.
    """
    everything = tfma.SlicingSpec()
    threshold = tfma.MetricThreshold(
        value_threshold=tfma.GenericValueThreshold(lower_bound={"value": config.min_accuracy}),
        change_threshold=tfma.GenericChangeThreshold(
            direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": config.min_improvement}
        ),
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
            tfma.ModelSpec(signature_name="serve_examples", label_key="label_index", prediction_key="probabilities")
        ],
        slicing_specs=[everything, *(tfma.SlicingSpec(feature_keys=[name]) for name in config.slices)],
        metrics_specs=[tfma.MetricsSpec(metrics=[accuracy, loss, count])],
    )
