"""A network that is trained on augmented images: what `train.augment` does to a batch, and to its labels."""

from typing import Any, NamedTuple

import keras
from keras import ops

from restem.trainer.augment import augmentation
from restem.trainer.augment_config import AugmentConfig
from restem.trainer.mixing import Mixing


class Changed(NamedTuple):
    """An augmented batch.

    Attributes:
      images: float32 [N, height, width, channels].
      target: what the loss compares with: labels int64 [N], or where images are mixed, shares float32 [N, classes].
      labels: int64 [N]: the class with the largest share of each image.
      weights: float32 [N], or None.
    """

    images: Any
    target: Any
    labels: Any
    weights: Any


class Augmentation:
    """All that `train.augment` says: first the changes of single images, then their mixing.

    Mixing is last: a shift or a turn after it would change the share of an image that was pasted.

    Attributes:
      layers: those that it consists of; their variables are the random state.
    """

    def __init__(self, config: AugmentConfig, white: float, classes: int, seed: int) -> None:
        """Args:
        config: the section.
        white: the largest value of a pixel.
        classes: their number.
        seed: of the random changes.
        """
        self._classes = classes
        self._changes = augmentation(config, white, seed)
        self._mixing = Mixing(config.mixup, config.cutmix, seed + 6) if config.mixes else None
        self.layers = [*self._changes, *([self._mixing] if self._mixing else [])]

    def __call__(self, images: Any, labels: Any, weights: Any = None) -> Changed:
        """Augments a batch.

        An image that is mixed with the share s from the examples i and j has the loss
        s w_i CE(y_i) + (1 - s) w_j CE(y_j), where w are their weights: each example counts with its own weight, as
        much as one sees of it. An example is one image and the partner of another: on average all of it is seen once
        in an epoch, and weights mean what they mean without mixing. That loss is the cross-entropy of the target
        (s w_i y_i + (1 - s) w_j y_j) / w with the weight w = s w_i + (1 - s) w_j. Therefore the labels are multiplied
        by the weights before they are mixed, and divided by the sum afterwards.

        Args:
          images: [N, height, width, channels], 0..white.
          labels: int64 [N].
          weights: float32 [N], or None.
        """
        images = ops.cast(images, "float32")
        for layer in self._changes:
            images = layer(images, training=True)
        if self._mixing is None:
            return Changed(images, labels, labels, weights)
        shares = ops.one_hot(labels, self._classes, dtype="float32")
        columns = shares if weights is None else ops.concatenate([shares, shares * weights[:, None]], axis=1)
        mixed = self._mixing({"images": images, "labels": columns})
        shares = mixed["labels"][:, : self._classes]
        if weights is None:
            target = shares
        else:
            counted = mixed["labels"][:, self._classes :]
            weights = ops.sum(counted, axis=1)
            target = ops.divide_no_nan(counted, weights[:, None])
        return Changed(mixed["images"], target, ops.argmax(shares, axis=1), weights)


class Augmented(keras.Model):
    """A network whose batches are augmented in training; it predicts as the network does."""

    def __init__(self, network: keras.Model, augment: Augmentation) -> None:
        # Pixels of 16 bits must not be rounded to another type before the network.
        super().__init__(dtype="float32")
        self.network = network
        self.augment = augment
        self.random_layers = augment.layers  # Keras then counts their state among the model's variables.

    def build(self, shape: Any) -> None:
        """Builds the layers that change images; they have no weights."""
        for layer in self.random_layers:
            layer.build(shape)

    def call(self, images: Any, training: bool = False) -> Any:
        """Pixels [N, height, width, channels] to logits float32 [N, classes]."""
        return self.network(images, training=training)

    def train_step(self, data: Any) -> Any:
        """One step on an augmented batch."""
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        changed = self.augment(images, labels, weights)
        return super().train_step((changed.images, changed, changed.weights))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The loss, by the target."""
        return super().compute_loss(x, y.target if isinstance(y, Changed) else y, y_pred, sample_weight, training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The metrics, by the class with the largest share of each image."""
        return super().compute_metrics(x, y.labels if isinstance(y, Changed) else y, y_pred, sample_weight)
