import json
import struct

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from restem.images.config import ImageConfig
from restem.images.graph.preprocess import preprocess
from restem.trainer.export import export
from restem.trainer.warmup import FILE, write_warmup
from tests.tiny_model import MAX_PIXELS, png, record
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
    # Each graph is there once, for all signatures: the network has two convolutions.
    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "model/saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    operations = [node.op for function in functions for node in function.node_def]
    assert operations.count("Conv2D") == 2


def test_images_of_other_sizes_and_formats_are_converted(network, image, tmp_path):
    export(network.model, image, CLASSES, str(tmp_path / "model"), record(image), {})
    serve = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    wide = tf.io.encode_jpeg(np.full((30, 50, 3), 200, np.uint8))
    assert serve(image_bytes=wide[tf.newaxis])["probabilities"].shape == (1, 3)


@pytest.fixture(scope="module")
def served(tiny_model):
    """A loaded model for grey images, with two classes."""
    return tf.saved_model.load(str(tiny_model))


def test_the_signatures_for_images_hold_max_pixels(served):
    # 20,000 x 20,000 pixels in a file of a few bytes: it is refused by its header.
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 20_000, 20_000, 8, 2, 0, 0, 0) + bytes(4)
    good = tf.io.encode_png(np.full((100, MAX_PIXELS // 100, 3), 200, np.uint8)).numpy()
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"too large.*20000"):
        served.signatures["serving_default"](image_bytes=tf.constant([good, bomb]))
    answer = served.signatures["serving_lenient"](image_bytes=tf.constant([good, bomb]))
    assert [bool(error) for error in answer["error"].numpy()] == [False, True]
    larger = tf.io.encode_png(np.full((101, MAX_PIXELS // 100, 3), 200, np.uint8)).numpy()
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[larger]))
    example = tf.train.Example(features=tf.train.Features(feature={"image_bytes": feature})).SerializeToString()
    # A later run may allow larger images, and this model is then its baseline.
    assert served.signatures["serve_examples"](examples=tf.constant([example]))["scores"].shape == (1, 2)


def test_the_lenient_signature_answers_for_the_readable_images(served):
    good = [png(level) for level in (0, 100, 200)]
    wide = tf.io.encode_jpeg(np.full((30, 50, 3), 200, np.uint8)).numpy()
    sent = [b"no image", good[0], good[1][:-30], b"", wide, good[2]]
    answer = served.signatures["serving_lenient"](image_bytes=tf.constant(sent))
    readable = [1, 4, 5]
    expected = served.signatures["serving_default"](image_bytes=tf.constant([sent[i] for i in readable]))
    for name, value in expected.items():
        np.testing.assert_array_equal(answer[name].numpy()[readable], value)
    for position, reason in {0: b"this is not a PNG", 2: b"the image is damaged", 3: b"the image is empty"}.items():
        assert answer["error"].numpy()[position].startswith(reason)
        assert answer["label"].numpy()[position] == b""
        assert not answer["probabilities"].numpy()[position].any()
        assert set(answer["labels"].numpy()[position]) == {b""}
    assert [answer["error"].numpy()[i] for i in readable] == [b""] * 3
    alone = served.signatures["serving_lenient"](image_bytes=tf.constant([b"no image"]))
    assert alone["label"].numpy().tolist() == [b""]


@pytest.mark.parametrize("signature", ["serving_default", "serving_lenient", "serve_examples"])
def test_no_images_give_no_answers(served, signature):
    sent = tf.constant([], tf.string)
    answer = served.signatures[signature](**{"examples" if "examples" in signature else "image_bytes": sent})
    assert answer["probabilities"].shape == (0, 2)
    assert answer["label"].shape == (0,)


def test_warm_up_requests_are_valid_requests(served, tiny_model):
    found = tf.data.TFRecordDataset(str(tiny_model / "assets.extra" / FILE)).as_numpy_iterator()
    asked = set()
    for serialized in found:
        request = prediction_log_pb2.PredictionLog.FromString(serialized).predict_log.request
        asked.add(request.model_spec.signature_name)
        sent = tf.constant(tf.make_ndarray(request.inputs["image_bytes"]))
        answer = served.signatures[request.model_spec.signature_name](image_bytes=sent)
        assert answer["label"].shape == (1,)
        assert "error" not in answer or answer["error"].numpy().tolist() == [b""]
    assert asked == {"serving_default", "serving_lenient"}


@pytest.mark.parametrize(
    "values",
    [
        {"channels": 1, "bits": 16},
        {"bands": ("a", "b", "c", "d", "e"), "select": ("e", "a")},
        {"channels": 3, "value_range": (0.0, 4095.0)},
    ],
)
def test_warm_up_images_suit_the_model(values, tmp_path):
    image = ImageConfig(size=8, **values)
    write_warmup(tmp_path, image)
    (serialized, _) = tf.data.TFRecordDataset(str(tmp_path / FILE)).as_numpy_iterator()
    request = prediction_log_pb2.PredictionLog.FromString(serialized).predict_log.request
    pixels = preprocess(tf.constant(tf.make_ndarray(request.inputs["image_bytes"])), image)
    assert pixels.shape == (1, 8, 8, image.count)
