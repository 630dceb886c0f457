"""How good predictions are, by scikit-learn's metrics."""

import numpy as np

from restem.errors import RestemError
from restem.run_record import Scores


class Diverged(RestemError):
    """The loss, or what the network answers, is not a finite number."""


def score(labels: np.ndarray, probabilities: np.ndarray) -> Scores:
    """Scores predictions.

    Args:
      labels: int64 [N], of which some classes may be missing.
      probabilities: float32 [N, classes].

    Raises:
      Diverged: a probability is not a finite number.
    """
    if not np.isfinite(probabilities).all():
        raise Diverged(
            "the network's answers are not finite numbers",
            expected="probabilities",
            remedy="Lower the learning rates in the section train, or set train.clip_norm: 1.0",
        )
    from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score

    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    wide = probabilities.astype(np.float64)
    wide /= wide.sum(axis=1, keepdims=True)
    try:
        auc = float(roc_auc_score(labels, wide[:, 1] if len(classes) == 2 else wide, multi_class="ovr", labels=classes))
    except ValueError:  # a class without images
        auc = None
    return Scores(
        images=len(labels),
        accuracy=float(np.mean(predicted == labels)),
        balanced_accuracy=float(balanced_accuracy_score(labels, predicted)),
        loss=float(log_loss(labels, wide, labels=classes)),
        auc=auc,
    )
