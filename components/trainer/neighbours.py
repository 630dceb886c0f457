"""The training images that are most similar to each test image, by the network's features.

A test image that is far from all training images is one that the network was not prepared for. One that is nearly the
same as a training image makes the test easier than the real task. The features alone cannot show the second: a trained
network maps different images of a class to nearly the same features. So the pixels of the closest pairs are compared.
"""

import keras
import numpy as np

from restem.closer_record import Neighbours
from restem.trainer.features import features_of, mean_and_std
from restem.trainer.input import Split

MOST_IMAGES = 2000  # of each split
PAIRS = 64  # of which the pixels are compared
PICTURES = 8  # of each kind


def find_neighbours(
    features: keras.Model, train: Split, test: Split, batch_size: int, white: float
) -> tuple[Neighbours, dict[str, np.ndarray]]:
    """The nearest training image of each test image, and the pixels of some of them by path.

    At most `MOST_IMAGES` of each split are compared, the first ones; ingestion has put them into a random order.

    Args:
      features: maps pixels to features float32 [n, features].
      train, test: the images.
      batch_size: images in a batch.
      white: the largest value of a pixel.
    """
    known, asked = train.first(MOST_IMAGES), test.first(MOST_IMAGES)
    if known.count < 2 or not asked.count:
        return Neighbours(skipped="there are too few images"), {}
    with features_of(features, known, batch_size) as found:
        mean, std = mean_and_std(found)
        ours = (found - mean) / std if std.all() else None
    if ours is None:
        return Neighbours(skipped="the network's features are the same for all training images"), {}
    with features_of(features, asked, batch_size) as found:
        theirs = (found - mean) / std
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return Neighbours(skipped="the network's features are not finite numbers"), {}
    from sklearn.neighbors import NearestNeighbors  # it takes a second to load

    distance, place = NearestNeighbors(n_neighbors=1, metric="cosine").fit(ours).kneighbors(theirs)
    distance, place = np.clip(distance[:, 0], 0.0, 2.0).astype(np.float32), place[:, 0]

    closest, farthest = np.argsort(distance, kind="stable"), np.argsort(-distance, kind="stable")
    pairs = closest[:PAIRS]
    wanted = np.union1d(place[pairs], place[farthest[:PICTURES]])
    of_train = dict(zip(wanted.tolist(), known.at(wanted), strict=True))
    of_test = asked.at(np.sort(pairs))
    difference = np.full(asked.count, np.nan, np.float32)
    for i, pixels in zip(np.sort(pairs).tolist(), of_test, strict=True):
        difference[i] = np.abs(pixels.astype(np.float32) - of_train[int(place[i])]).mean() / white
    alike = np.argsort(np.where(np.isnan(difference), np.inf, difference), kind="stable")[:PICTURES]
    shown = {int(place[i]) for i in (*alike.tolist(), *farthest[:PICTURES].tolist())}
    result = Neighbours(
        paths=tuple(asked.paths.tolist()),
        distance=distance,
        nearest=tuple(known.paths[place].tolist()),
        difference=difference,
        compared=known.count,
        train_images=train.count,
        test_images=test.count,
    )
    return result, {str(known.paths[i]): of_train[i] for i in sorted(shown)}
