"""A trained network's answers on the test split."""

import keras

from restem.run_record import Evaluation
from restem.trainer.input import Split


def evaluate(model: keras.Model, test: Split, classes: list[str], batch_size: int) -> Evaluation:
    """Predicts the test split once.

    Nothing is chosen by these answers: the test split is for the Evaluator's comparison.

    Args:
      model: pixels to logits.
      test: the test split.
      classes: class names by label.
      batch_size: images a batch.
    """
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(test.pixels(batch_size), verbose=0)))
    return Evaluation(tuple(classes), tuple(test.paths().tolist()), test.labels(), probabilities)
