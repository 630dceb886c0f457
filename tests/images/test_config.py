import pytest
from pydantic import ValidationError

from components.images.config import ImageConfig


def test_a_number_is_a_square_and_a_pair_is_height_and_width():
    assert (ImageConfig(size=32).height, ImageConfig(size=32).width) == (32, 32)
    assert (ImageConfig(size=[20, 30]).height, ImageConfig(size=[20, 30]).width) == (20, 30)


@pytest.mark.parametrize(
    ("given", "count", "names"),
    [
        ({}, 3, ("red", "green", "blue")),
        ({"channels": 1}, 1, ("grey",)),
        ({"channels": 3}, 3, ("red", "green", "blue")),
        ({"bands": ["infrared", "red"]}, 2, ("infrared", "red")),
        ({"bands": ["a", "b", "c"], "channels": 3}, 3, ("a", "b", "c")),
    ],
)
def test_channels_and_their_names(given, count, names):
    config = ImageConfig(size=8, **given)
    assert (config.count, config.names) == (count, names)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": -3}, "expected a whole number of pixels from 1 to 4096"),
        ({"size": True}, "given True"),
        ({"size": [3]}, r"given \[3\]"),
        ({"size": "big"}, "given 'big'"),
        ({}, "Field required"),
        ({"size": 8, "channels": 2}, "Input should be 1 or 3"),
        ({"size": 8, "channels": 1, "bands": ["red", "green"]}, "contradict"),
        ({"size": 8, "bands": ["red", "red"]}, "different names"),
        ({"size": 8, "bands": []}, "at least 1"),
        ({"size": 8, "bands": list("abcde")}, "at most 4"),
        ({"size": 8, "sise": 9}, "Extra inputs"),
    ],
)
def test_what_is_wrong_is_refused_with_what_was_expected(given, message):
    with pytest.raises(ValidationError, match=message):
        ImageConfig(**given)


def test_it_is_hashable_frozen_and_survives_json():
    config = ImageConfig(size=(20, 30), bands=("a", "b"))
    assert ImageConfig.model_validate_json(config.model_dump_json()) == config
    assert len({config, config.model_copy()}) == 1
    with pytest.raises(ValidationError):
        config.size = 3
