import json
from dataclasses import replace

import numpy as np
import pytest

from restem import record_files, run_record
from restem.record_files import DamagedRecord
from restem.run_record import Cost, Epoch, Evaluation, ModelInput, ModelRecord, Scores

MODEL = ModelRecord(
    "candidate",
    "ResNet50",
    "none",
    ModelInput(8, 9, 2, 4, ("a", "b")),
    100,
    40,
    3,
    "x86",
    {"a": [1]},
    precision="mixed_float16",
    cost=Cost(3 * 10**9, {"all": 2.5}, 2048.5),
)
EPOCHS = (Epoch("head", 1, 0.5, 0.9, 1.5, 20.0), Epoch("all", 1, 0.25, 1.0, 2.0, 10.0))
ANSWERS = Evaluation(
    ("cat", "dog"),
    ("cat/é.png", "dog/1.png", "dog/2.png"),
    np.array([0, 1, 1]),
    np.array([[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]], np.float32),
)


def test_records_are_read_as_written(tmp_path):
    run_record.write_model(tmp_path, MODEL)
    run_record.write_history(tmp_path, EPOCHS)
    run_record.write_evaluation(tmp_path, ANSWERS)
    assert run_record.read_model(tmp_path) == MODEL
    assert run_record.read_history(tmp_path) == EPOCHS
    read = run_record.read_evaluation(str(tmp_path))
    assert (read.classes, read.paths) == (ANSWERS.classes, ANSWERS.paths)
    for name in ("labels", "probabilities", "predicted", "confidence", "right"):
        np.testing.assert_array_equal(getattr(read, name), getattr(ANSWERS, name), name)
    for name in ("model.json", "history.json", "evaluation.json"):
        assert json.loads((tmp_path / name).read_text())["version"] == 1


def test_the_history_is_a_table_too(tmp_path):
    judged = replace(EPOCHS[1], learning_rate=0.1, validation=Scores(30, 0.9, 0.8, 0.5))
    run_record.write_history(tmp_path, (EPOCHS[0], judged))
    assert run_record.read_history(tmp_path) == (EPOCHS[0], judged)
    assert (tmp_path / "history.csv").read_text().splitlines() == [
        "phase,epoch,loss,accuracy,seconds,images_per_second,learning_rate,"
        "val_images,val_accuracy,val_balanced_accuracy,val_loss,val_auc",
        "head,1,0.5,0.9,1.5,20.0,,,,,,",
        "all,1,0.25,1.0,2.0,10.0,0.1,30,0.9,0.8,0.5,",
    ]


def test_the_largest_class_and_classes_that_are_never_predicted():
    assert ANSWERS.largest_class == ("dog", pytest.approx(2 / 3))
    assert ANSWERS.never_predicted == ()
    wrong = replace(ANSWERS, probabilities=np.array([[1, 0]] * 3, np.float32))
    assert wrong.never_predicted == ("dog",)
    assert (ANSWERS.only_predicted, wrong.only_predicted) == (None, "cat")
    assert replace(wrong, labels=np.array([0, 0, 0])).only_predicted is None  # There was nothing else to predict.


def test_accuracy_and_loss():
    assert ANSWERS.predicted.tolist() == [0, 0, 1]
    assert ANSWERS.accuracy == pytest.approx(2 / 3)
    assert ANSWERS.loss == pytest.approx(-np.log(0.75 * 0.5) / 3)
    never = replace(ANSWERS, labels=np.array([0, 1, 0]))
    assert np.isfinite(never.loss)
    assert ANSWERS.at(np.array([2, 0])).paths == ("dog/2.png", "cat/é.png")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "model.json is damaged: it is not valid JSON"),
        ("[" * 100_000, "model.json is damaged: it is not valid JSON"),
        (" " * 1001, "model.json is damaged: it has more than 1,000 bytes"),
        ("[]", "model.json is damaged: it is not a JSON object"),
        ('{"input": {"height": 3}}', "model.json lacks role, backbone, weights, input.width, input.channels"),
        ('{"version": 2}', "model.json has format 2, but this version of restem reads format 1"),
    ],
)
def test_damage_is_described(tmp_path, monkeypatch, text, problem):
    if text.isspace():
        monkeypatch.setattr(record_files, "MAX_BYTES", 1000)
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(DamagedRecord, match=f"^{problem}"):
        run_record.read_model(tmp_path)


@pytest.mark.parametrize("end", [0, 20, -30])
def test_damaged_predictions_are_named(tmp_path, end):
    run_record.write_evaluation(tmp_path, ANSWERS)
    file = tmp_path / "evaluation.npz"
    file.write_bytes(file.read_bytes()[:end])
    with pytest.raises(DamagedRecord, match=r"^evaluation\.npz is damaged: "):
        run_record.read_evaluation(tmp_path)


def test_a_value_of_the_wrong_type_is_described(tmp_path):
    run_record.write_model(tmp_path, replace(MODEL, parameters="many"))
    with pytest.raises(DamagedRecord, match=r"^model\.json is damaged: parameters: Input should be a valid integer"):
        run_record.read_model(tmp_path)


def test_a_record_without_a_version_has_the_first_format(tmp_path):
    run_record.write_model(tmp_path, MODEL)
    document = json.loads((tmp_path / "model.json").read_text())
    del document["version"], document["processor"], document["precision"], document["cost"]
    (tmp_path / "model.json").write_text(json.dumps({**document, "more": 1}))
    assert run_record.read_model(tmp_path) == replace(MODEL, processor=None, precision="float32", cost=None)
