import json
from dataclasses import asdict

import pytest
from pydantic import ValidationError

from restem.images.config import RGB, ImageConfig, Requirements
from restem.images.nodata import Nodata


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
        ({"bands": ["a", "b", "c"], "select": ["c", "a"]}, 2, ("c", "a")),
        ({"bands": [f"b{i}" for i in range(13)]}, 13, tuple(f"b{i}" for i in range(13))),
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
        ({"size": 8, "bands": [f"band {i}" for i in range(65)]}, "at most 64"),
        ({"size": 8, "select": ["red"]}, "name the file's channels in image.bands"),
        (
            {"size": 8, "bands": ["nir", "red"], "select": ["nir", "green"]},
            "select names green, but bands are nir, red",
        ),
        ({"size": 8, "bands": ["nir", "red"], "select": ["nir", "nir"]}, "select must have different names"),
        ({"size": 8, "bands": ["nir", "red"], "select": ["nir"], "channels": 3}, "channels and select contradict"),
        ({"size": 8, "bands": ["nir", "red"], "background": "white"}, "including alpha"),
        ({"size": 8, "background": "whitish"}, "expected a colour as in HTML, 'white' or '#ff8000'; given 'whitish'"),
        ({"size": 8, "bits": 12}, "Input should be 8 or 16"),
        ({"size": 8, "value_range": [3, 3]}, "black below white"),
        ({"size": 8, "fit": "squeeze"}, "'stretch', 'pad' or 'crop'"),
        ({"size": 8, "max_upsampling": 0.5}, "greater than or equal to 1"),
        ({"size": 8, "sise": 9}, "Extra inputs"),
        ({"size": 8, "nodata": "none"}, "expected a number, nan .* or {band: N} for a mask band .* given 'none'"),
        ({"size": 8, "nodata": True}, "expected a number, nan .* given True"),
        ({"size": 8, "nodata": float("-inf")}, "given -inf: nan stands for infinity too"),
        ({"size": 8, "nodata": {"band": 0}}, r"its number from 1, or its name.* given {'band': 0}"),
        ({"size": 8, "nodata": {"bands": 1}}, "given {'bands': 1}"),
        ({"size": 8, "nodata": {"band": "m"}}, "there are no bands: name the file's channels in image.bands"),
        ({"size": 8, "nodata": {"band": "m"}, "bands": ["a", "b"]}, "bands are a, b; expected one of these names"),
        ({"size": 8, "nodata": {"band": 3}, "bands": ["a", "b"]}, "the band 3, but bands are a, b; .* from 1 to 2"),
        ({"size": 8, "nodata": {"band": 1}, "bands": ["a"]}, "bands names nothing but a, the mask of nodata"),
        (
            {"size": 8, "nodata": {"band": "b"}, "bands": ["a", "b"], "select": ["b"]},
            "b is the mask of nodata, so the model cannot see it: remove it from select",
        ),
        ({"size": 8, "nodata": 0, "dicom": {}}, "nodata and dicom contradict each other"),
        ({"size": 8, "max_nodata": 1.5}, "less than or equal to 1"),
    ],
)
def test_errors_say_what_was_expected(given, message):
    with pytest.raises(ValidationError, match=message):
        ImageConfig(**given)


def test_it_is_hashable_frozen_and_survives_json():
    config = ImageConfig(size=(20, 30), bands=("a", "b"))
    assert ImageConfig.model_validate_json(config.model_dump_json()) == config
    assert len({config, config.model_copy()}) == 1
    with pytest.raises(ValidationError):
        config.size = 3


def test_depth_and_background():
    assert (ImageConfig(size=8).dtype, ImageConfig(size=8).white) == ("uint8", 255)
    assert (ImageConfig(size=8, bits=16).dtype, ImageConfig(size=8, bits=16).white) == ("uint16", 65535)
    assert ImageConfig(size=8, background="#ff8000").background_rgb == (255, 128, 0)
    assert ImageConfig(size=8).background_rgb is None


@pytest.mark.parametrize(
    ("fit", "height", "width", "times"),
    [
        ("stretch", 10, 40, 4.0),
        ("pad", 10, 40, 1.0),
        ("crop", 10, 40, 4.0),
        ("pad", 20, 20, 2.0),
        ("crop", 80, 80, 0.5),
    ],
)
def test_upsampling_is_the_enlargement_of_the_visible_part(fit, height, width, times):
    assert ImageConfig(size=40, fit=fit).requirements().upsampling(height, width) == times


def test_requirements_contain_only_what_ingestion_needs():
    free = ImageConfig(size=40, max_upsampling=None)
    assert free.requirements() == ImageConfig(size=224, channels=1, bits=16, max_upsampling=None).requirements()
    assert ImageConfig(size=40).requirements() != ImageConfig(size=224).requirements()
    assert ImageConfig(size=8, bands=("a", "b"), select=("b",)).requirements().channels == 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"channels": 1, "bits": 16, "fit": "pad"}, {"channels": 3, "fit": "pad"}),
        ({"bands": ["nir", "red", "green", "blue"]}, {"bands": ["nir", "red", "green", "blue"], "select": RGB}),
        ({"bands": ["vv", "vh"], "select": ["vh"], "value_range": [0, 9]}, {"channels": 3, "value_range": [0, 9]}),
    ],
)
def test_the_source_network_sees_the_colours_of_the_same_files(given, expected):
    source = ImageConfig(size=16, **given).as_source(32)
    assert source == ImageConfig(**{"size": 32, "channels": 3, "store": "none", **expected})
    assert source.names == RGB


@pytest.mark.parametrize(
    ("given", "rule", "text"),
    [
        ({}, None, ""),
        ({"nodata": "NaN"}, Nodata(not_finite=True, most=0.5), "nan"),
        ({"nodata": float("nan")}, Nodata(not_finite=True, most=0.5), "nan"),
        ({"nodata": -9999, "max_nodata": 0.1}, Nodata(value=-9999.0, most=0.1), "-9999"),
        ({"nodata": 0.5}, Nodata(value=0.5, most=0.5), "0.5"),
        ({"nodata": {"band": 4}}, Nodata(mask=3, most=0.5), "{band: 4}"),
        ({"nodata": {"band": "m"}, "bands": ["a", "m", "b"]}, Nodata(mask=1, seen=(0, 2), most=0.5), "{band: 2}"),
        (
            {"nodata": {"band": 2}, "bands": ["a", "m", "b"], "select": ["b"]},
            Nodata(mask=1, seen=(2,), most=0.5),
            "{band: 2}",
        ),
        ({"nodata": 0, "bands": ["a", "b"], "select": ["b", "a"]}, Nodata(value=0.0, seen=(1, 0), most=0.5), "0"),
    ],
)
def test_the_rule_for_no_data_survives_json(given, rule, text):
    config = ImageConfig(size=8, **given)
    assert config.nodata_rule == rule
    stored = json.loads(json.dumps(config.model_dump(mode="json"), allow_nan=False))
    assert ImageConfig.model_validate(stored).nodata_rule == rule
    required = json.loads(json.dumps(asdict(config.requirements()), allow_nan=False))
    assert Requirements(**required).nodata == rule
    if rule is not None:
        assert rule.text == text


def test_the_mask_is_no_channel_of_the_model():
    config = ImageConfig(size=8, bands=("red", "green", "blue", "mask"), nodata={"band": "mask"})
    assert (config.names, config.count) == (("red", "green", "blue"), 3)
    source = config.as_source(32)
    assert (source.names, source.nodata_rule) == (RGB, Nodata(mask=3, seen=(0, 1, 2), most=0.5))
    grey = ImageConfig(size=8, bands=("nir", "mask"), nodata={"band": "mask"}).as_source(32)
    assert (grey.bands, grey.nodata_rule) == (None, Nodata(mask=1, most=0.5))
