"""Temperature scaling (evaluate.calibrate), on a tiny network."""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import sklearn.metrics
import tensorflow as tf

from restem.errors import RestemError
from restem.trainer.input import arrays_as_split
from restem.trainer.temperature import fit_temperature, softmax
from restem.trainer.training import Training
from tests.trainer.conftest import make_pictures

CALIBRATED = {"calibrate": "temperature"}


@pytest.mark.parametrize("sureness", [0.4, 3.0])
def test_the_temperature_is_the_one_with_the_smallest_loss(sureness):
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (4000, 5))
    labels = np.array([rng.choice(5, p=row) for row in scipy.special.softmax(true, axis=1)])
    logits = (sureness * true).astype(np.float32)
    found = fit_temperature(logits, labels)
    by_another_way = scipy.optimize.minimize(
        lambda t: sklearn.metrics.log_loss(labels, scipy.special.softmax(logits.astype(float) / t, axis=1)),
        x0=[1.5],
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-12},
    )
    assert found == pytest.approx(by_another_way.x[0], rel=1e-4)
    assert found == pytest.approx(sureness, rel=0.1)  # with which the labels were drawn
    assert (softmax(logits, found).argmax(axis=1) == logits.argmax(axis=1)).all()


def test_without_a_wrong_answer_nothing_is_fitted():
    logits = np.eye(3, dtype=np.float32)
    assert fit_temperature(logits, np.arange(3)) == 1.0
    assert fit_temperature(logits[:0], np.arange(0)) == 1.0


def test_to_answers_worse_than_chance_nothing_is_fitted():
    logits = 9 * np.eye(3, dtype=np.float32)
    assert fit_temperature(logits, np.array([1, 2, 0])) == 1.0


@pytest.fixture
def doubtful():
    """Validation images of which a few have another label."""
    pixels, labels = make_pictures()
    labels = np.where(np.arange(90) % 10 == 0, (labels + 1) % 3, labels)
    return arrays_as_split(pixels, labels, np.array([f"val/{i}.png" for i in range(90)]))


def test_the_exported_model_divides_its_logits_and_nothing_is_trained_again(run_fn, doubtful, val, monkeypatch):
    plain = run_fn("plain", val=doubtful, repeats=2)
    trained = []
    monkeypatch.setattr(Training, "finish_epoch", lambda *_: trained.append(_))
    calibrated = run_fn("calibrated", val=doubtful, custom=CALIBRATED, repeats=2)
    assert not trained  # the checkpoints are those of the same training
    temperature = calibrated.record.temperature
    assert plain.record.temperature is None
    assert temperature != pytest.approx(1, abs=0.01)
    before, after = plain.evaluation.probabilities, calibrated.evaluation.probabilities
    expected = softmax(np.log(before), temperature)
    np.testing.assert_allclose(after, expected, atol=1e-5)
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
    for first, second in zip(plain.record.repeats, calibrated.record.repeats, strict=True):  # each with its own
        assert second.scores["val"].loss < first.scores["val"].loss
        assert second.scores["val"].accuracy == first.scores["val"].accuracy
    assert calibrated.record.scores == calibrated.record.repeats[0].scores

    encoded = tf.stack([tf.io.encode_png(pixels) for pixels in make_pictures()[0][: val.count]])
    loaded = tf.saved_model.load(calibrated.model)
    by_bytes = loaded.signatures["serving_default"](image_bytes=encoded)
    np.testing.assert_allclose(by_bytes["probabilities"], after, atol=1e-6)
    np.testing.assert_allclose(by_bytes["scores"], np.sort(after, axis=1)[:, ::-1], atol=1e-6)

    def example(png):
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[png.numpy()]))
        return tf.train.Example(features=tf.train.Features(feature={"image_bytes": feature})).SerializeToString()

    by_example = loaded.signatures["serve_examples"](examples=tf.constant([example(png) for png in encoded]))
    np.testing.assert_array_equal(by_example["probabilities"], by_bytes["probabilities"])


def test_without_validation_images_it_is_refused(run_fn):
    with pytest.raises(RestemError, match=r"evaluate.calibrate: temperature.*nothing may be chosen on test images"):
        run_fn("refused", custom=CALIBRATED)
