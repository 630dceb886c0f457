import json
import re

import pytest

from restem.baseline.check import missing, problem
from restem.baseline.choice import Choice, Skipped, choose
from restem.errors import RestemError
from restem.model_files import fingerprint
from tests.damage import DATA, flip
from tests.tiny_model import CLASSES, export_tiny

EXTRA = "assets.extra"


def cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


DAMAGE = {
    "the graph is missing": (lambda v: (v / "saved_model.pb").unlink(), "saved_model.pb is missing"),
    "the graph is empty": (lambda v: (v / "saved_model.pb").write_bytes(b""), "saved_model.pb is empty"),
    "the graph is cut": (lambda v: cut(v / "saved_model.pb"), "TensorFlow cannot read it: "),
    "the index is missing": (lambda v: (v / "variables/variables.index").unlink(), "variables.index is missing"),
    "the weights are missing": (lambda v: (v / DATA).unlink(), r"only 0 of 1 files variables/variables.data-\* exist"),
    "the weights are cut": (lambda v: cut(v / DATA), "TensorFlow cannot read it: "),
    "the weights are empty": (lambda v: (v / DATA).write_bytes(b""), "TensorFlow cannot read it: "),
    "the weights are damaged": (lambda v: flip(v / DATA), "TensorFlow cannot read it: .*[Cc]hecksum"),
    "the classes are missing": (lambda v: (v / EXTRA / "classes.json").unlink(), "classes.json is missing"),
    "the classes are cut": (
        lambda v: cut(v / EXTRA / "classes.json"),
        "classes.json is damaged: it is not valid JSON$",
    ),
    "the classes are not a list": (lambda v: (v / EXTRA / "classes.json").write_text("{}"), "it is not a JSON list"),
    "the record is missing": (lambda v: (v / EXTRA / "model.json").unlink(), "model.json is missing"),
    "the record lacks fields": (
        lambda v: (v / EXTRA / "model.json").write_text('{"backbone": "ResNet50"}'),
        "model.json lacks role, weights, input, parameters, train_images$",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_version_is_skipped_and_named(put, tmp_path, name):
    good, bad = put(100), put(200)
    damage, reason = DAMAGE[name]
    damage(bad)
    choice = choose("latest_approved", str(tmp_path / "serving"), CLASSES)
    assert (choice.kind, choice.version, choice.path) == ("latest_approved", "100", str(good))
    (skipped,) = choice.skipped
    assert (skipped.version, skipped.path) == ("200", str(bad))
    assert re.search(reason, skipped.reason)
    assert str(tmp_path) not in skipped.reason


def test_the_choice_knows_the_newest_version_that_was_looked_at(put, tmp_path):
    serving = str(tmp_path / "serving")
    assert choose("latest_approved", serving, CLASSES).newest == 0
    good, bad = put(100), put(200)
    (bad / "saved_model.pb").unlink()
    assert choose("latest_approved", serving, CLASSES).newest == 200
    assert choose("latest_approved", serving, ["other", "classes"]).newest == 200  # none can be used
    for asked in ("stock", str(good)):
        assert choose(asked, serving, CLASSES).newest is None


def test_every_file_of_sharded_weights_must_exist():
    sizes = {"saved_model.pb": 1, "variables/variables.index": 1, f"{EXTRA}/classes.json": 1, f"{EXTRA}/model.json": 1}
    sizes |= {f"variables/variables.data-0000{i}-of-00003": 1 for i in range(3)}
    assert missing(sizes) is None
    del sizes["variables/variables.data-00001-of-00003"]
    assert missing(sizes) == "only 2 of 3 files variables/variables.data-* exist"


@pytest.mark.parametrize(
    ("classes", "reason"),
    [
        (["dark", "grey", "light"], "only this run has grey"),
        (["dark"], "only the model has light"),
        (["dark", "bright"], "only the model has light; only this run has bright"),
        (["light", "dark"], "the order is different"),
    ],
)
def test_different_classes_are_a_reason(tiny_model, classes, reason):
    assert problem(str(tiny_model), classes) == f"its classes differ from this run's: {reason}"


def test_a_model_without_the_signature_cannot_be_the_baseline(tmp_path, tiny_model, put):
    import tensorflow as tf

    version = put(5)
    module = tf.Module()
    module.serve = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None], tf.string, "x")])
    tf.saved_model.save(module, str(tmp_path / "other"), signatures={"serving_default": module.serve})
    for name in ("saved_model.pb", "variables/variables.index", DATA):
        (version / name).write_bytes((tmp_path / "other" / name).read_bytes())
    assert problem(str(version), CLASSES) == "it lacks the signature serve_examples"


def test_the_probabilities_must_match_the_classes(tmp_path):
    model = export_tiny(tmp_path / "three", ["dark", "light", "rare"])
    (model / EXTRA / "classes.json").write_text(json.dumps(CLASSES))
    reason = problem(str(model), CLASSES)
    assert reason == "its signature serve_examples does not return probabilities for 2 classes"


def test_the_highest_number_is_used_and_other_names_are_ignored(put, tmp_path):
    put(99), put("backup"), put("pushing-1-ab"), put(1000)
    (tmp_path / "serving" / "2000").write_text("a file")
    choice = choose("latest_approved", str(tmp_path / "serving"), CLASSES)
    assert (choice.version, choice.skipped) == ("1000", ())
    assert choice.fingerprint == fingerprint(str(tmp_path / "serving" / "1000"))


def test_without_a_usable_version_the_baseline_is_the_stock_network(put, tmp_path):
    assert choose("latest_approved", str(tmp_path / "nowhere"), CLASSES) == Choice("stock", latest=True)
    (put(7) / "saved_model.pb").unlink()
    choice = choose("latest_approved", str(tmp_path / "serving"), CLASSES)
    assert (choice.kind, choice.path) == ("stock", None)
    assert [entry.version for entry in choice.skipped] == ["7"]


def test_stock_reads_no_folder(tmp_path):
    assert choose("stock", None, []) == Choice("stock")


def test_a_given_folder_is_a_model_or_holds_versions(put, tiny_model, tmp_path):
    version, model = put(12), str(tiny_model)
    assert choose(model, None, CLASSES) == Choice("path", None, model, fingerprint(model))
    expected = Choice("path", "12", str(version), fingerprint(model))
    assert choose(f"{version}/", None, CLASSES) == expected
    assert choose(str(tmp_path / "serving"), None, CLASSES) == expected
    (put(13) / "saved_model.pb").unlink()
    assert choose(str(tmp_path / "serving"), None, CLASSES).skipped[0].version == "13"


def test_a_given_folder_without_a_usable_model_is_an_error(put, tiny_model, tmp_path):
    with pytest.raises(RestemError, match=r"evaluate\.baseline .*nowhere.*there is no such folder"):
        choose(str(tmp_path / "nowhere"), None, CLASSES)
    with pytest.raises(RestemError, match="only this run has grey"):
        choose(str(tiny_model), None, [*CLASSES, "grey"])
    (put(13) / "saved_model.pb").unlink()
    with pytest.raises(RestemError, match=r"version 13: saved_model\.pb is missing"):
        choose(str(tmp_path / "serving"), None, CLASSES)


def test_json_round_trip_and_log(caplog):
    choice = Choice("latest_approved", "5", "/s/5", "ab", (Skipped("6", "/s/6", "saved_model.pb is missing"),))
    assert Choice.from_json(choice.to_json()) == choice
    with caplog.at_level("INFO", logger="restem"):
        choice.tell()
        Choice("stock", skipped=choice.skipped).tell()
    assert caplog.messages[0] == "Baseline: version 6 is skipped: saved_model.pb is missing (/s/6)"
    assert caplog.messages[1] == "Baseline: version 5 (/s/5)"
    assert caplog.messages[-1] == "Baseline: the stock network; no approved version could be used"
