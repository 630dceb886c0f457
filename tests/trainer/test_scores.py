import numpy as np
import pytest

from restem.errors import RestemError
from restem.trainer.scores import Diverged, score


def test_answers_that_are_not_finite_are_named_instead_of_scored():
    probabilities = np.array([[0.5, 0.5], [np.nan, np.nan]], np.float32)
    with pytest.raises(Diverged, match=r"not finite numbers.*Lower the learning rates") as raised:
        score(np.array([0, 1]), probabilities)
    assert isinstance(raised.value, RestemError)
