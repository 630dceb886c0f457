"""Slices, from both models' answers for single images."""

import numpy as np
import pytest

from restem.errors import RestemError
from restem.evaluator.config import EvaluateConfig
from restem.evaluator.paired import paired
from restem.evaluator.slices import column_text, results, size_text
from restem.evaluator.terms import ENOUGH_IMAGES
from restem.pipeline.config import load_config

SITES = np.array(["Ulm"] * 40 + ["Köln"] * 29 + [""])
CLASSES = np.array(["cat", "dog"] * 35)
RIGHT = np.arange(70) % 4 > 0, np.arange(70) % 5 > 0


def test_accuracies_and_intervals_are_those_of_the_images_with_the_value():
    found = results([("site",), ("site", "class")], {"site": SITES, "class": CLASSES}, *RIGHT)
    assert [(one.column, one.value, one.images) for one in found] == [
        ("site", "", 1),
        ("site", "Köln", 29),
        ("site", "Ulm", 40),
        ("site × class", "(empty), dog", 1),
        ("site × class", "Köln, cat", 15),
        ("site × class", "Köln, dog", 14),
        ("site × class", "Ulm, cat", 20),
        ("site × class", "Ulm, dog", 20),
    ]
    for one in found:
        chosen = np.all(
            [
                {"site": SITES, "class": CLASSES}[name] == value
                for name, value in zip(one.columns, one.values, strict=True)
            ],
            axis=0,
        )
        assert (one.candidate, one.baseline) == pytest.approx([right[chosen].mean() for right in RIGHT])
        assert one.judged == (chosen.sum() >= ENOUGH_IMAGES)
        limits = paired(*(right[chosen] for right in RIGHT)).difference
        assert one.difference == ((limits.low, limits.high) if one.judged else None)


def test_built_in_columns():
    features = {"label": [b"cat"], "format": [b"png"], "height": [300], "width": [64], "site": [b"Ulm"]}
    found = [column_text(name, features) for name in ("class", "format", "image_size", "site")]
    assert found == [b"cat", b"png", b"64 to 127 pixels", b"Ulm"]
    assert column_text("class", {**features, "class": [b"a kept column"]}) == b"a kept column"
    assert [size_text(side) for side in (1, 63, 64)] == ["1 to 1 pixels", "32 to 63 pixels", "64 to 127 pixels"]


def test_slices_are_columns_that_are_kept_or_built_in(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("{data: {path: x}, image: {size: 32, channels: 1}}")
    config = load_config(file, ["evaluate.slices=[class, [format, image_size]]"]).evaluate
    assert config.sliced == (("class",), ("format", "image_size"))
    assert config.columns == ("class", "format", "image_size")
    assert EvaluateConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(RestemError, match=r"data.metadata.*or class, format, image_size.*given site"):
        load_config(file, ["evaluate.slices=[[class, site]]"])
