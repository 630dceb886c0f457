"""What TFX calls for the extractors of an evaluation. TFX loads this module again each time, so it holds no state."""

from typing import Any

import tensorflow_model_analysis as tfma

from restem.evaluator import answers


def custom_extractors(
    eval_shared_model: Any, eval_config: tfma.EvalConfig, tensor_adapter_config: Any
) -> list[tfma.extractors.Extractor]:
    """TFMA's own extractors, and one that writes what they extracted."""
    own = tfma.default_extractors(
        eval_shared_model=eval_shared_model, eval_config=eval_config, tensor_adapter_config=tensor_adapter_config
    )
    return [*own, answers.writer()]
