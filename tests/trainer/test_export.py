import json

import numpy as np
import tensorflow as tf

from restem.trainer.export import export
from tests.tiny_model import record
from tests.trainer.conftest import CLASSES


def test_both_signatures_agree_with_the_model(network, image, pictures, tmp_path):
    export(network.model, image, CLASSES, str(tmp_path / "model"), record(image), {"claim": "exact"})
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    encoded = tf.stack([tf.io.encode_png(pixels) for pixels in pictures[0][:7]])
    by_bytes = loaded.signatures["serving_default"](image_bytes=encoded)

    def example(png):
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[png.numpy()]))
        return tf.train.Example(features=tf.train.Features(feature={"image_bytes": feature})).SerializeToString()

    by_example = loaded.signatures["serve_examples"](examples=tf.constant([example(png) for png in encoded]))
    logits = network.model.predict(pictures[0][:7].astype(np.float32), verbose=0)
    expected = tf.nn.softmax(logits).numpy()
    np.testing.assert_allclose(by_bytes["probabilities"], expected, atol=1e-6)
    np.testing.assert_array_equal(by_bytes["probabilities"], by_example["probabilities"])
    assert [label.decode() for label in by_bytes["label"].numpy()] == [CLASSES[i] for i in expected.argmax(axis=1)]
    # There are fewer classes than TOP_K.
    assert by_bytes["labels"].shape == by_bytes["scores"].shape == (7, 3)
    np.testing.assert_array_equal(by_bytes["labels"][:, 0], by_bytes["label"])
    assert json.loads((tmp_path / "model/assets.extra/classes.json").read_text()) == CLASSES
    assert json.loads((tmp_path / "model/assets.extra/stem.json").read_text()) == {"claim": "exact"}


def test_images_of_other_sizes_and_formats_are_converted(network, image, tmp_path):
    export(network.model, image, CLASSES, str(tmp_path / "model"), record(image), {})
    serve = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    wide = tf.io.encode_jpeg(np.full((30, 50, 3), 200, np.uint8))
    assert serve(image_bytes=wide[tf.newaxis])["probabilities"].shape == (1, 3)
