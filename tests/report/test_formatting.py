import pytest

from restem.baseline.choice import Choice
from restem.evaluator.paired import Paired
from restem.report import formatting
from restem.report.data import StemTransfer


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.9716, "97.2%"),
        (0.0, "0.0%"),
        (1.0, "100.0%"),
        (0.99999, "99.9%"),
        (0.0004, "less than 0.1%"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_percent_never_rounds_to_0_or_100(share, text):
    assert formatting.percent(share) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.0312, "+3.1 points"), (-0.01, "−1.0 points"), (-0.0001, "0.0 points"), (None, "–")]
)
def test_points_carry_their_sign(share, text):
    assert formatting.points(share) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (3_857_973_248, "3.86 billion"),
        (11_400_000_000, "11.4 billion"),
        (2_345e9, "2,340 billion"),
        (96_300_000, "96.3 million"),
        (999_999, "999,999"),
    ],
)
def test_large_numbers_are_in_millions_and_billions(number, text):
    assert formatting.large(int(number)) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(3.94, "3.9 times"), (0.126, "0.13 times"), (1.0, "1 times"), (123.4, "123 times")]
)
def test_ratios(ratio, text):
    assert formatting.times(ratio) == text


def test_tensorboard_is_told_where_the_event_files_are():
    assert formatting.tensorboard({"candidate": None}) is None
    assert formatting.tensorboard({"candidate": "/a", "baseline": None}) == "tensorboard --logdir /a"
    both = formatting.tensorboard({"candidate": "gs://b/a", "baseline": "/b"})
    assert both == "tensorboard --logdir_spec candidate:gs://b/a,baseline:/b"
    comma = formatting.tensorboard({"candidate": "/a,b", "baseline": "/c"})
    assert comma == "tensorboard --logdir /a,b or tensorboard --logdir /c"


@pytest.mark.parametrize(("seconds", "text"), [(4.24, "4.2 s"), (42, "42 s"), (135, "2 min 15 s"), (7380, "2 h 3 min")])
def test_duration(seconds, text):
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(2.4e-7, "2.4 × 10⁻⁷"), (0.0, "0"), (0.21, "2.1 × 10⁻¹")])
def test_scientific(number, text):
    assert formatting.scientific(number) == text


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (
            Paired(80, 15, 2, 3),
            "The candidate is better than the baseline (statistically significant).",
        ),
        (
            Paired(80, 2, 15, 3),
            "The baseline is better than the candidate (statistically significant).",
        ),
        (Paired(80, 5, 4, 3), "There is no statistically significant difference between the two models."),
        (Paired(80, 0, 0, 3), "Both models are right on exactly the same images"),
    ],
)
def test_comparison_claims_only_what_the_test_shows(pair, expected):
    assert formatting.comparison(pair).startswith(expected)


def test_comparison_names_the_counts_of_the_right_model():
    sentence = formatting.comparison(Paired(80, 15, 2, 3))
    assert "On 17 images, one model is right" in sentence
    assert "the candidate is right on 15, the baseline on 2" in sentence


@pytest.mark.parametrize(
    ("claim", "error", "start", "part"),
    [
        ("exact", 1e-7, "Exact:", "1.0 × 10⁻⁷"),
        ("exact", None, "Exact:", "the same function as its source."),
        ("approximate", 0.21, "Approximate:", "2.1 × 10⁻¹"),
        ("approximate", None, "Approximate:", "was not measured"),
    ],
)
@pytest.mark.parametrize("trained", [True, False])
def test_transfer_says_claim_and_proof(claim, error, start, part, trained):
    sentence = formatting.transfer(StemTransfer(claim, error, (), (), "", None, trained))
    assert sentence.startswith(start)
    assert part in sentence
    assert ("random weights" in sentence) != trained


def test_reason_does_not_repeat_the_banner():
    assert formatting.reason("Not approved: accuracy is too low.") == "Accuracy is too low."
    assert formatting.reason("The candidate is better.") == "The candidate is better."


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        (None, "the stock network"),
        (Choice("stock"), "the stock network"),
        (Choice("latest_approved", "17", "/served/17"), "the approved version 17"),
        (Choice("path", "17", "/old/17"), "the given model /old/17"),
    ],
)
def test_baseline_is_named_by_its_origin(origin, name):
    assert formatting.baseline(origin) == name
    assert formatting.baseline_story(origin).startswith("The baseline is the ")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("red", "green", "blue"), None),
        (("grey",), None),
        (("nir",), None),  # The stock network gets a single band in all three channels.
        (
            ("nir", "swir"),
            "The baseline has three channels and sees the mean of all bands; the candidate sees nir and swir.",
        ),
    ],
)
def test_what_the_baseline_cannot_see_is_mentioned(names, sentence):
    assert formatting.sees(names) == sentence


def test_milliseconds_and_sizes():
    assert [formatting.milliseconds(x) for x in (0.00042, 0.0123, 1.2345)] == ["0.42 ms", "12.3 ms", "1,234 ms"]
    assert [formatting.size(x) for x in (12, 12_345, 94_500_000, 2.5e9)] == ["12 bytes", "12.3 kB", "94.5 MB", "2.5 GB"]
