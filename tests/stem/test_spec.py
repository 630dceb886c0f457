import json

import pytest

from restem.stem import StemError, StemSpec


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"channels": 0}, "channels must be a whole number from 1"),
        ({"channels": True}, "channels must be"),
        ({"kernel": 2.5}, "kernel must be"),
        ({"filters": -3}, "filters must be"),
        ({"stride": 3}, "stride must be a whole number from 1 to 2"),
        ({"batch_norm": 1}, "batch_norm must be True or False"),
        ({"shrink": "magic"}, "least_squares"),
        ({"noise": float("nan")}, "noise"),
        ({"bands": ()}, "empty"),
        ({"bands": "red,green"}, "list of names"),
        ({"bands": ("red", "red")}, "more than once"),
        ({"bands": ("a b",)}, "not a valid band name"),
        ({"channels": 3, "bands": ("nir", "red")}, "contradicts"),
        ({"bands": ("grey", "red")}, "grey with a colour"),
        ({"small_images": True, "stride": 2}, "leave stride out"),
        ({"deep": True, "kernel": 3}, "cannot be combined"),
        ({"deep": True, "small_images": True}, "cannot be combined"),
        ({"deep_filters": (3, 3)}, "only with deep"),
        ({"deep": True, "deep_filters": (3,)}, "two whole numbers"),
        ({"value_range": (5, 5)}, "black < white"),
        ({"value_range": 255}, "black < white"),
        ({"normalise": "statistics"}, "band_statistics"),
        ({"bands": ("red", "nir"), "band_statistics": {"swir": (1, 1)}}, "not one of the bands"),
        ({"bands": ("red", "nir"), "band_statistics": {"nir": (1, 0)}}, "standard deviation > 0"),
    ],
)
def test_invalid_specifications_are_rejected_on_creation(fields, words):
    with pytest.raises(StemError, match=words):
        StemSpec(**fields)


def test_round_trip_through_json():
    spec = StemSpec(bands=("NIR", "Gray"), band_statistics={"nir": (10, 2)}, kernel=5, value_range=(0, 1))
    assert spec.bands == ("nir", "grey")
    assert spec.channels == 2
    again = StemSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert hash(again) == hash(spec)
    with pytest.raises(StemError, match="Unknown stem field"):
        StemSpec.from_dict({"colour": 1})


def test_cifar():
    spec = StemSpec.cifar(channels=1)
    assert (spec.kernel, spec.stride, spec.pool, spec.channels) == (3, 1, False, 1)
    assert StemSpec.cifar(kernel=3, pool=False) == StemSpec.cifar()
    for clash in ({"kernel": 5}, {"stride": 2}, {"small_images": True}, {"deep": True}):
        with pytest.raises(StemError, match=f"leave out {next(iter(clash))}"):
            StemSpec.cifar(**clash)
