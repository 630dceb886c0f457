"""A model that lacks a class of the newest version is not pushed."""

import json

import pytest

from restem.example_gen.classes import ClassChange
from restem.pusher.classes import class_change
from restem.pusher.refusal import refusal
from restem.pusher.release import Release
from tests.tiny_model import CLASSES

NAMES = "assets.extra/classes.json"


@pytest.fixture
def serving(tmp_path):
    return str(tmp_path / "serving")


def test_classes_are_compared_with_the_newest_readable_version(put, serving):
    assert class_change(serving, CLASSES) is None
    put(5)
    (put(6) / NAMES).write_text("{")
    assert class_change(serving, list(reversed(CLASSES))) is None
    assert class_change(serving, ["dark", "new"]) == ClassChange("version 5", ("new",), ("light",))


def test_a_model_without_a_class_of_the_newest_version_is_not_pushed(put, serving, tmp_path):
    (put(5) / NAMES).write_text(json.dumps([*CLASSES, "rare"]))
    model = str(put(1, "other"))
    reason = refusal(serving, model, Release(), allow_class_changes=False)
    assert reason.startswith("Class rare of version 5 without images. ")
    assert "data.allow_class_changes: true" in reason
    assert refusal(serving, model, Release(), allow_class_changes=True) is None
    (tmp_path / "serving" / "5" / NAMES).write_text(json.dumps(CLASSES[:1]))  # a new class is no reason
    assert refusal(serving, model, Release(), allow_class_changes=False) is None
