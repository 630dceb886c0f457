"""The Baseline step: the stock ResNet from the same source weights, trained on the same images with the same budget."""

from typing import Any

from tfx import types
from tfx.components import Trainer

from components.trainer.component import trainer


def baseline(
    examples: types.BaseChannel,
    transform_graph: types.BaseChannel,
    schema: types.BaseChannel,
    *,
    sections: dict[str, Any],
    config: dict[str, Any],
    base_model: types.BaseChannel | None = None,
) -> Trainer:
    """A step that emits a Model and a ModelRun, as the candidate's Trainer does.

    It is an ordinary step and not TFX's Resolver: the open-source Kubeflow backend runs no Resolver, and a first run
    needs a baseline too. The images are those the candidate sees, brought to red, green and blue inside the network.

    Args:
      examples: transformed examples.
      transform_graph: Transform's.
      schema: the schema with the class names.
      sections: the sections `image`, `model`, `stem` and `train`, as dicts; the stem is left as it is.
      config: the whole resolved configuration, for the record.
      base_model: the Pretrain step's checkpoint.
    """
    return trainer(
        examples, transform_graph, schema, role="baseline", sections=sections, config=config, base_model=base_model
    ).with_id("Baseline")
