"""What TFX calls for an evaluation's models and extractors. It loads this module again each time: it holds no state."""

from typing import Any

import tensorflow_model_analysis as tfma

from restem.evaluator import answers, models


def custom_eval_shared_model(
    eval_saved_model_path: str, model_name: str, eval_config: tfma.EvalConfig, add_metrics_callbacks: None
) -> tfma.EvalSharedModel:
    """TFMA's own, but a model that is also measured is loaded once."""
    return models.shared_model(eval_saved_model_path, model_name, eval_config, add_metrics_callbacks)


def custom_extractors(
    eval_shared_model: Any, eval_config: tfma.EvalConfig, tensor_adapter_config: Any
) -> list[tfma.extractors.Extractor]:
    """TFMA's own extractors, and one that writes what they extracted."""
    own = tfma.default_extractors(
        eval_shared_model=eval_shared_model, eval_config=eval_config, tensor_adapter_config=tensor_adapter_config
    )
    return [*own, answers.writer()]
