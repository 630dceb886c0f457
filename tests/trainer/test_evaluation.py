import json

import numpy as np
import pytest

from restem.trainer.evaluation import evaluate
from tests.trainer.conftest import CLASSES


def test_figures_and_predictions(network, split, pictures, tmp_path):
    figures = evaluate(network.model, split, CLASSES, 16, tmp_path)
    with np.load(tmp_path / "evaluation.npz", allow_pickle=False) as saved:
        probabilities, labels, paths = saved["probabilities"], saved["label"], saved["path"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(labels, pictures[1])
    assert paths[3] == "class/3.png"
    assert figures["accuracy"] == np.mean(probabilities.argmax(axis=1) == labels)
    assert figures["loss"] == pytest.approx(-np.log(probabilities[np.arange(90), labels]).mean(), rel=1e-5)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == figures
