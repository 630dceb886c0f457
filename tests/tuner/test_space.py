import pytest

from restem.tuner.config import Axis
from restem.tuner.keys import kind
from restem.tuner.space import Space


def axis(**values):
    return Axis.model_validate(values)


SPACE = Space(
    {
        "train.all.learning_rate": axis(min=1e-5, max=1e-3, scale="log"),
        "train.batch_size": axis(min=3, max=9, scale="log"),
        "train.clip_norm": axis(choices=[None, 1]),
        "train.label_smoothing": axis(choices=[0, 0.1]),
        "stem.small_images": axis(choices=[False, True]),
        "train.optimizer": axis(choices=["adam", "sgd"]),
    }
)


def test_every_proposal_becomes_values_of_the_configurations_types_inside_their_ranges():
    seen = []
    for hp in SPACE.hyperparameters().space:
        # KerasTuner's oracles draw a probability, and the Bayesian one reaches both ends.
        seen.append({hp.name: [hp.prob_to_value(p) for p in (0.0, 0.3, 0.77, 1.0)]})
    proposals = [{name: drawn[i] for one in seen for name, drawn in one.items()} for i in range(4)]
    for proposal in proposals:
        rounded = SPACE.rounded(proposal)
        values = SPACE.values(rounded)
        assert 1e-5 <= values["train.all.learning_rate"] <= 1e-3
        assert values["train.all.learning_rate"] == float(f"{values['train.all.learning_rate']:.3g}")
        assert values["train.batch_size"] in range(3, 10)
        assert values["train.clip_norm"] in (None, 1.0)
        assert type(values["train.label_smoothing"]) is float
        assert type(values["stem.small_images"]) is bool
        assert SPACE.proposal(values) == rounded


def test_values_outside_of_the_space_are_no_proposal():
    inside = {
        "train.all.learning_rate": 1e-4,
        "train.batch_size": 4,
        "train.clip_norm": None,
        "train.label_smoothing": 0.0,
        "stem.small_images": True,
        "train.optimizer": "sgd",
    }
    assert SPACE.values(SPACE.proposal(inside)) == inside
    for key, value in (("train.all.learning_rate", 0.1), ("train.clip_norm", 2.0), ("train.batch_size", None)):
        assert SPACE.proposal({**inside, key: value}) is None


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("train.batch_size", "int"),
        ("train.clip_norm", "float"),
        ("train.optimizer_options.momentum", "float"),
        ("train.augment.flip_horizontal", "other"),
        ("train.balance", "other"),
        ("stem.kernel", "int"),
        ("stem.stride", "other"),
    ],
)
def test_the_type_of_a_keys_values(key, expected):
    assert kind(key) == expected


@pytest.mark.parametrize("key", ["train.lr", "train.batch_size.x", "model.backbone", "train.all.rate"])
def test_there_is_no_such_key(key):
    with pytest.raises(KeyError):
        kind(key)
