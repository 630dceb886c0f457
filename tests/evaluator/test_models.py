from restem.evaluator.models import load, loaded_once


def test_a_model_is_loaded_once_within_an_evaluation_and_not_kept_after_it(tiny_model):
    with loaded_once():
        first = load(str(tiny_model))
        assert load(str(tiny_model)) is first
    assert load(str(tiny_model)) is not first
    with loaded_once():
        assert load(str(tiny_model)) is not first
