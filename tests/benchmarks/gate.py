"""How often the gate is wrong, and how often it sees what is there: simulated pairs of models with known accuracies.

A pair is drawn as the counts of images by which model is right, from a multinomial distribution: the baseline has the
accuracy, the two models disagree on a share of the images, and the candidate's true accuracy differs by a given
number. The product's own code decides. `python -m tests.benchmarks gate` repeats this part; it takes minutes.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy.stats import norm

from restem.evaluator import metrics
from restem.evaluator.metrics import Sample
from restem.evaluator.paired import Interval, Paired, needed_images, square_and_add
from restem.evaluator.terms import BALANCED, EACH_SIDE, MACRO_F1, Metric

PAIRS = 10_000
IMAGES = (360, 1000, 5000)
ACCURACIES = (0.6, 0.9, 0.99)
# Of the images; independent models with 60% disagree on 48%, with 90% on 18%, with 99% on 2%.
DISAGREEMENTS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.18, 0.3, 0.48)
MARGINS = (0.01, 0.02, 0.05)
ADVANTAGES = (0.01, 0.02, 0.05)
NOMINAL, ALLOWED = 1 - EACH_SIDE, 0.055
SMALL = (20, 50, 100, 137, 200)  # where other methods fail
SEED = 20261126

Method = Callable[[int, int, int, int], Interval]


@cache
def _limits(images: int, wins: int, losses: int) -> Interval:
    """The product's interval depends only on these counts."""
    return Paired(images - wins - losses, wins, losses, 0).interval(EACH_SIDE)


def product(both: int, wins: int, losses: int, neither: int) -> Interval:
    """The gate's own interval."""
    return _limits(both + wins + losses + neither, wins, losses)


def newcombe(both: int, wins: int, losses: int, neither: int) -> Interval:
    """Newcombe 1998 (Statistics in Medicine 17, 2635-2650), method 10, one-sided 95% at each end: for comparison."""
    n, z = both + wins + losses + neither, float(norm.ppf(EACH_SIDE))

    def wilson(successes: int) -> Interval:
        p = successes / n
        middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return Interval(p, (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n))

    product_ = float(both * neither - wins * losses)
    if product_ > 0:
        product_ = max(product_ - n / 2, 0)
    margins = (both + wins) * (losses + neither) * (both + losses) * (wins + neither)
    return square_and_add(
        wilson(both + wins), wilson(both + losses), float(product_ / np.sqrt(margins)) if margins else 0.0
    )


def pass_rate(
    rng: np.random.Generator,
    images: int,
    wins: float,
    losses: float,
    bound: float,
    *,
    accuracy: float | None = None,
    pairs: int = PAIRS,
    method: Method = product,
) -> float:
    """The share of pairs whose lower end is above the bound.

    Args:
      rng: for the draws.
      images: per pair.
      wins, losses: the shares of images on which only the candidate, or only the baseline, is right.
      bound: of the difference.
      accuracy: the baseline's; None: all other images are right for both.
      pairs: how many are drawn.
      method: of the interval.
    """
    both = 1 - wins - losses if accuracy is None else accuracy - losses
    shares = np.array([both, wins, losses, 1 - both - wins - losses]).clip(0)
    drawn = rng.multinomial(images, shares / shares.sum(), size=pairs)
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    passed = [method(*map(int, kind)).low > bound for kind in kinds]
    return float(counts[passed].sum() / pairs)


def situations(difference: float) -> list[tuple[float, float, float]]:
    """(accuracy, wins, losses) of all possible pairs in which the candidate's accuracy differs by this number.

    They include pairs in which one model is right wherever the other is.
    """
    found = []
    for accuracy in ACCURACIES:
        for disagreement in sorted({*DISAGREEMENTS, abs(difference)} - {0.0}):
            wins, losses = (disagreement + difference) / 2, (disagreement - difference) / 2
            possible = (wins, losses, accuracy - losses, 1 - accuracy - wins)
            if min(possible) >= -1e-12:
                found.append((accuracy, max(0.0, wins), max(0.0, losses)))
    return found


def worst(
    rng: np.random.Generator, images: int, difference: float, bound: float, method: Method = product
) -> dict[str, Any]:
    """The situation in which a false approval is most frequent."""
    rates = [
        (pass_rate(rng, images, wins, losses, bound, accuracy=accuracy, method=method), accuracy, wins + losses)
        for accuracy, wins, losses in situations(difference)
    ]
    rate, accuracy, disagreement = max(rates)
    return {"rate": round(rate, 4), "accuracy": accuracy, "disagreement": round(disagreement, 4)}


def errors(method: Method = product, sizes: tuple[int, ...] = IMAGES) -> dict[str, dict[str, Any]]:
    """By requirement and number of images: the highest rate of false approvals, and where it is."""
    rng = np.random.default_rng(SEED)
    found = {"better_than_baseline_by 0": {str(size): worst(rng, size, 0.0, 0.0, method) for size in sizes}}
    for margin in MARGINS:
        found[f"not_worse_than_baseline_by {margin:g}"] = {
            str(size): worst(rng, size, -margin, -margin, method) for size in sizes
        }
    return found


def power() -> dict[str, Any]:
    """The share of good candidates that are approved, by disagreement, images, and what is true."""
    rng = np.random.default_rng(SEED)
    found: dict[str, Any] = {}
    for disagreement in (0.02, 0.05, 0.1, 0.2):
        rows: dict[str, Any] = {}
        for size in IMAGES:
            half = disagreement / 2
            rows[str(size)] = {
                "equal passes not_worse by": {
                    f"{m:g}": round(pass_rate(rng, size, half, half, -m), 3) for m in MARGINS
                },
                "better passes better by 0, if better by": {
                    f"{a:g}": round(pass_rate(rng, size, half + a / 2, half - a / 2, 0.0), 3)
                    for a in ADVANTAGES
                    if a <= disagreement
                },
            }
        needed = {f"{m:g}": needed_images(disagreement, m, 0.0, EACH_SIDE, 0.8) for m in MARGINS}
        found[f"{disagreement:g}"] = {**rows, "images for 80%": needed}
    return found


def draw(rng: np.random.Generator, images: int, classes: int, wins: float, losses: float, *, rare: bool) -> Sample:
    """Two models' answers with these shares, on equally frequent classes or, `rare`, up to ten times rarer ones."""
    shares = np.geomspace(1, 0.1, classes) if rare else np.ones(classes)
    labels = rng.choice(classes, images, p=shares / shares.sum())
    both = 0.9 - losses
    right = rng.choice(4, images, p=[both, wins, losses, 1 - both - wins - losses])
    # Where both are wrong they often agree on the same wrong class.
    wrong = (labels + rng.integers(1, classes, images)) % classes
    other = np.where(rng.random(images) < 0.5, wrong, (labels + rng.integers(1, classes, images)) % classes)
    return Sample(classes, labels, np.where(right < 2, labels, wrong), np.where(right % 2 == 0, labels, other))


def errors_of_means(pairs: dict[Metric, int]) -> dict[str, Any]:
    """False approvals of the metrics that are means over the classes: `better` of equal models, at 90% accuracy.

    Args:
      pairs: how many are drawn for each metric; a bootstrap takes a hundredth of a second and more.
    """
    rng = np.random.default_rng(SEED)
    found: dict[str, Any] = {}
    for metric, count in pairs.items():
        rates = {}
        for images, classes, rare, disagreement in (
            (360, 2, False, 0.02),
            (360, 2, False, 0.1),
            (360, 10, False, 0.02),
            (360, 10, False, 0.1),
            (360, 10, True, 0.1),
            (1000, 10, True, 0.05),
        ):
            half = disagreement / 2
            passed = sum(
                metrics.difference(metric, draw(rng, images, classes, half, half, rare=rare), EACH_SIDE).low > 0
                for _ in range(count)
            )
            kind = f"{images} images, {classes} classes{', unequal' if rare else ''}, {disagreement:g} disagree"
            rates[kind] = round(passed / count, 4)
        found[metric] = {"pairs": count, **rates}
    return found


def gate() -> list[dict[str, Any]]:
    """The part of results.json."""
    found, others = errors(), errors(newcombe)
    small, others_small = errors(sizes=SMALL), errors(newcombe, SMALL)

    def highest(by_requirement: dict[str, dict[str, Any]], start: str) -> float:
        rows = [row for name, sizes in by_requirement.items() if name.startswith(start) for row in sizes.values()]
        return max(row["rate"] for row in rows)

    unit, pairs = "share of pairs, the highest of all situations", f"{PAIRS:,} pairs in each situation"
    return [
        {
            "name": f"gate: false approvals, {kind}",
            "value": highest(found, kind),
            "unit": unit,
            "compared_with": f"the nominal {NOMINAL:.0%}, {pairs}",
            "goal": ALLOWED,
            "by_images": {name: rows for name, rows in found.items() if name.startswith(kind)},
            "few_images": {name: rows for name, rows in small.items() if name.startswith(kind)},
            "newcombe": {
                "highest": highest(others, kind),
                "highest_with_few_images": highest(others_small, kind),
                "by_images": {name: rows for name, rows in others.items() if name.startswith(kind)},
            },
        }
        for kind in ("better_than_baseline_by", "not_worse_than_baseline_by")
    ] + [
        {
            "name": "gate: power",
            "value": pass_rate(np.random.default_rng(SEED), 1000, 0.025, 0.025, -0.02),
            "unit": "share of equal pairs that pass not_worse_than_baseline_by 0.02, 1,000 images, 5% disagree",
            "compared_with": pairs,
            "by_disagreement": power(),
        },
        *(
            {
                "name": f"gate: false approvals, {metric}",
                "value": max(value for name, value in rates.items() if name != "pairs"),
                "unit": unit,
                "compared_with": f"the nominal {NOMINAL:.0%}, better_than_baseline_by 0, {rates['pairs']:,} pairs each",
                "by_situation": rates,
            }
            for metric, rates in errors_of_means({BALANCED: PAIRS // 4, MACRO_F1: PAIRS // 20}).items()
        ),
    ]
