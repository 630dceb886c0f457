import numpy as np

from restem.trainer.evaluation import evaluate
from tests.trainer.conftest import CLASSES


def test_every_test_image_is_predicted_once(network, split, pictures):
    evaluation = evaluate(network.model, split, CLASSES, 16)
    np.testing.assert_allclose(evaluation.probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(evaluation.labels, pictures[1])
    assert evaluation.paths[3] == "class/3.png"
    assert evaluation.classes == tuple(CLASSES)
