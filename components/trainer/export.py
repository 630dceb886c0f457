"""The SavedModel that is pushed; TensorFlow serves it without this project."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.images.graph.lenient import preprocess_readable
from restem.images.graph.preprocess import preprocess_each, preprocess_one
from restem.images.graph.received import checked
from restem.record_files import write_json
from restem.run_record import CLASSES, EXTRA, NETWORK, STEM, ModelRecord, write_model
from restem.trainer.continuation import describe_network, named_weights
from restem.trainer.warmup import write_warmup

TOP_K = 5


class _Servable(tf.Module):
    """The network with its signatures."""

    def __init__(
        self,
        model: keras.Model,
        image: ImageConfig,
        classes: list[str],
        temperature: float | None = None,
        max_pixels: int | None = None,
    ) -> None:
        super().__init__()
        # Under these names the variables are in the SavedModel, for a later training (continuation.py). The model
        # itself is no attribute: TensorFlow would also save its optimizer, which is twice as large as the network.
        self.network_weights = named_weights(model)
        self._image = image
        one = tf.TensorSpec([], tf.string)

        # One function for both kinds of requests: a second one would double the time in which the model loads.
        @tf.function(autograph=False, input_signature=[one, tf.TensorSpec([], tf.bool)])
        def pixels_of(data: tf.Tensor, strict: tf.Tensor) -> tf.Tensor:
            return preprocess_one(data, image, strict=strict)

        @tf.function(autograph=False, input_signature=[one])
        def pixels_of_a_client(data: tf.Tensor) -> tf.Tensor:
            return pixels_of(data if max_pixels is None else checked(data, max_pixels), tf.constant(True))

        # All signatures call this one graph. It is no attribute either: TensorFlow would save it a second time.
        @tf.function(autograph=False)
        def answer(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
            logits = model(tf.cast(pixels, tf.float32), training=False)
            # A constant of the graph: a later training goes on from the weights, so without it.
            probabilities = tf.nn.softmax(logits if temperature is None else logits / temperature)
            scores, indices = tf.math.top_k(probabilities, k=min(TOP_K, len(classes)))
            labels = tf.gather(tf.constant(classes), indices)
            return {"probabilities": probabilities, "label": labels[:, 0], "labels": labels, "scores": scores}

        self._pixels_of: Callable[[tf.Tensor], tf.Tensor] = lambda data: pixels_of(data, tf.constant(False))
        self._pixels_of_a_client: Callable[[tf.Tensor], tf.Tensor] = lambda data: pixels_of_a_client(data)
        # Maps preprocessed pixels to probabilities and labels.
        self._answer: Callable[[tf.Tensor], dict[str, tf.Tensor]] = lambda pixels: answer(pixels)
        self._max_pixels = max_pixels

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serving_default(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Maps encoded images, string [N], to probabilities and labels."""
        return self._answer(preprocess_each(image_bytes, self._image, self._pixels_of_a_client))

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Maps serialized raw tf.Examples, string [N], to the same outputs.

        It has no limit on pixels, and refuses neither NaN nor JPEGs because of image.nodata: ingestion has checked
        the examples, with the limits and the image.nodata of the current run. A later run may allow other images, and
        this model must still answer for them as a baseline.
        """
        features = tf.io.parse_example(examples, {"image_bytes": tf.io.FixedLenFeature([], tf.string)})
        return self._answer(preprocess_each(features["image_bytes"], self._image, self._pixels_of))

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serving_lenient(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """The same for images of which some cannot be read: they have empty labels, zeros, and a reason in `error`."""
        pixels, error = preprocess_readable(image_bytes, self._image, self._pixels_of_a_client, self._max_pixels)
        read = error == ""
        answers = {
            name: tf.where(read if value.shape.rank == 1 else read[:, None], value, tf.zeros([], value.dtype))
            for name, value in self._answer(pixels).items()
        }
        return {**answers, "error": error}


def export(
    model: keras.Model,
    image: ImageConfig,
    classes: list[str],
    folder: str,
    record: ModelRecord,
    stem: Mapping[str, Any],
) -> None:
    """Writes the SavedModel.

    Signatures: `serving_default` takes `image_bytes` (string [N], encoded images) and returns `probabilities` (float32
    [N, classes]), `label` (string [N], the most probable class), `labels` and `scores` (string and float32
    [N, min(5, classes)], the most probable first). `serving_lenient` also returns `error` (string [N]), and does not
    fail if an image cannot be read. Both refuse images with more than the configuration's data.max_pixels before they
    decode them. `serve_examples` takes `examples` (string [N], serialized raw
    tf.Examples with the feature `image_bytes`) and returns the same as `serving_default`.

    Args:
      model: maps pixel values float32 [N, height, width, channels], 0..image.white, to logits.
      image: how encoded images become those pixels.
      classes: class names in label order.
      folder: where the SavedModel is written.
      record: describes the network; it is saved in the model's folder `assets.extra`, with the class names. If it has
        a temperature, both signatures divide the logits by it.
      stem: the stem's transfer report as a dict; it is saved there too.
    """
    max_pixels = record.config.get("data", {}).get("max_pixels")
    if max_pixels is not None:
        max_pixels = max(max_pixels, image.height * image.width)  # The warm-up's images have the model's own size.
    servable = _Servable(model, image, classes, record.temperature, max_pixels)
    # The functions themselves, not their graphs: TensorFlow traces functions anew when it saves. A graph traced here
    # would be saved beside the new one, which doubles the time in which the model loads.
    names = ("serving_default", "serve_examples", "serving_lenient")
    tf.saved_model.save(servable, folder, signatures={name: getattr(servable, name) for name in names})
    extra = Path(folder) / EXTRA
    extra.mkdir(exist_ok=True)
    write_model(extra, record)
    write_json(extra, CLASSES, classes)
    write_json(extra, STEM, stem)
    write_json(extra, NETWORK, describe_network(model, image))
    write_warmup(extra, image)
