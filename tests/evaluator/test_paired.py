import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest, poisson

from restem.evaluator.paired import (
    Interval,
    Paired,
    exact_interval,
    needed_images,
    paired,
    square_and_add,
    visible_difference,
    weighted_rate,
)
from tests.benchmarks.gate import pass_rate


@pytest.mark.parametrize(("successes", "trials"), [(0, 20), (1, 29), (15, 148), (29, 29)])
def test_exact_limits_are_scipys(successes, trials):
    ours = exact_interval(successes, trials, 0.975)
    theirs = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    assert (ours.value, ours.low, ours.high) == pytest.approx((successes / trials, theirs.low, theirs.high))


def test_exact_limits_of_nothing_and_of_impossible_counts():
    nothing = exact_interval(0, 0)
    assert math.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="from 0 to 3"):
        exact_interval(4, 3)


def test_square_and_add_of_independent_estimates_by_hand():
    # 0.7 - 0.5, with distances 0.03 and 0.04 below, 0.06 and 0.08 above.
    found = square_and_add(Interval(0.7, 0.67, 0.76), Interval(0.5, 0.42, 0.54))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.15, 0.3))


def test_newcombes_published_interval_follows_from_square_and_add():
    # Newcombe 1998 (Statistics in Medicine 17, 2635-2650), table II, method 10: Wilson's limits of both accuracies.
    def wilson(successes):
        limits = binomtest(successes, 50).proportion_ci(0.95, method="wilson")
        return Interval(successes / 50, limits.low, limits.high)

    correlation = (36 * 0 - 12 * 2) / math.sqrt(48 * 2 * 38 * 12)
    found = square_and_add(wilson(48), wilson(38), correlation)
    assert (found.low, found.high) == pytest.approx((0.0569, 0.3404), abs=5e-5)


@pytest.mark.parametrize("counts", [(50, 7, 3, 40), (0, 5, 5, 0), (90, 0, 10, 0), (10, 0, 0, 0), (0, 10, 0, 0)])
def test_difference_changes_its_sign_when_the_models_are_swapped(counts):
    both, first, second, neither = counts
    one, other = Paired(both, first, second, neither).difference, Paired(both, second, first, neither).difference
    assert (one.low, one.value, one.high) == pytest.approx((-other.high, -other.value, -other.low))
    assert -1 <= one.low <= one.value <= one.high <= 1


def test_without_a_disagreement_the_limit_is_the_exact_one_of_no_event():
    # 0.98^149 < 0.05 <= 0.98^148: a loss of 2% would show in 149 images.
    assert Paired(149, 0, 0, 0).interval(0.95).low > -0.02 > Paired(148, 0, 0, 0).interval(0.95).low


@pytest.mark.parametrize(("wins", "losses", "apart"), [(15, 2, True), (2, 15, True), (5, 4, False), (0, 0, False)])
def test_models_are_told_apart_if_zero_is_outside_the_interval(wins, losses, apart):
    assert Paired(80, wins, losses, 3).told_apart is apart


def test_a_level_of_loss_is_where_the_interval_ends():
    pair = Paired(30, 2, 25, 310)
    level = pair.level_of_a_loss(0.02)
    assert pair.interval(1 - level).high == pytest.approx(-0.02, abs=1e-6)
    assert 0 < level < 0.01
    assert pair.level_of_a_loss(0.07) == 1.0
    assert Paired(0, 0, 0, 0).level_of_a_loss(0.1) == 1.0


def test_paired_counts_who_is_right():
    candidate = np.array([True, True, False, False, True])
    baseline = np.array([True, False, True, False, True])
    assert paired(candidate, baseline) == Paired(2, 1, 1, 1)
    with pytest.raises(ValueError, match="the same images"):
        paired(candidate, baseline[:3])


def test_gamma_limits_of_equal_weights_are_the_exact_ones_of_a_poisson_count():
    found = weighted_rate(np.array([3, 4]), np.array([0.1, 0.1]), 0.95)
    assert found.value == pytest.approx(0.7)
    assert poisson.sf(6, found.low / 0.1) == pytest.approx(0.05)
    assert poisson.cdf(7, found.high / 0.1) == pytest.approx(0.05)
    assert weighted_rate(np.array([0, 0]), np.array([0.1, 0.2]), 0.95).low == 0


@pytest.mark.parametrize(("images", "share"), [(40, 0.1), (137, 0.0), (360, 0.02), (1000, 0.3)])
@pytest.mark.parametrize("margin", [0.0, 0.02, 0.1])
def test_the_error_is_below_the_nominal_one(images, share, margin):
    """Exact probabilities, of all results: `share` of the images is won by each side, and `margin` more by one."""
    if 2 * share + margin == 0:
        return
    assert exact_pass_rate(images, share, share + margin, margin) <= 0.0505


def exact_pass_rate(images, wins, losses, margin):
    """The probability that the lower end is above -margin, by adding up all results."""
    most = int(binom.isf(1e-6, images, wins)), int(binom.isf(1e-6, images, losses))
    total = 0.0
    for won in range(most[0] + 1):
        # The limit falls with the losses, so the largest number of losses that passes says it all.
        passing = [lost for lost in range(min(most[1], images - won) + 1) if _passes(images, won, lost, margin)]
        if passing:
            rest = binom.cdf(max(passing), images - won, losses / (1 - wins))
            total += binom.pmf(won, images, wins) * rest
    return total


def _passes(images, won, lost, margin):
    return Paired(images - won - lost, won, lost, 0).interval(0.95).low > -margin


@pytest.mark.parametrize(("share", "margin"), [(0.05, 0.02), (0.2, 0.05)])
def test_the_proposed_number_of_images_decides_in_four_of_five_cases(share, margin):
    images = needed_images(share, margin, 0.0, 0.95, 0.8)
    rate = pass_rate(np.random.default_rng(0), images, share / 2, share / 2, -margin, pairs=2000)
    assert 0.74 < rate < 0.86
    assert visible_difference(share, images, 0.95, 0.8) == pytest.approx(margin, abs=1e-3)
    better = needed_images(share, margin, margin, 0.95, 0.8)
    rate = pass_rate(np.random.default_rng(0), better, (share + margin) / 2, (share - margin) / 2, 0.0, pairs=2000)
    assert 0.74 < rate < 0.86


def test_ten_images_show_little():
    assert visible_difference(0.1, 10, 0.95, 0.8) > 0.2
    assert visible_difference(0.9, 2, 0.95, 0.8) == 1.0
