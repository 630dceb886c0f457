"""A trained network's predictions on the test split."""

import keras

from restem.run_record import Evaluation
from restem.trainer.input import Split
from restem.trainer.phases import predict


def evaluate(
    model: keras.Model, test: Split, classes: list[str], batch_size: int, temperature: float | None = None
) -> Evaluation:
    """Predicts the test split once.

    The predictions are not used to select anything, because the test split is for the Evaluator's comparison.

    Args:
      model: maps pixels to logits.
      test: the test split.
      classes: class names in label order.
      batch_size: images per batch.
      temperature: by which the logits are divided.
    """
    probabilities = predict(model, test, batch_size, temperature)
    return Evaluation(tuple(classes), tuple(test.paths.tolist()), test.labels, probabilities)
