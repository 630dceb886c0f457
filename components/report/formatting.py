"""Numbers as people read them, and the few sentences that carry the page's meaning."""

from __future__ import annotations

import math
from collections.abc import Sequence

from restem.baseline.choice import Choice
from restem.images.config import RGB
from restem.report.data import StemTransfer, Threshold
from restem.report.measures import Paired

NOTHING = "–"
SIGNIFICANT = 0.05
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(share: float | None, digits: int = 1) -> str:
    """0.9716 -> "97.2%"; None or nan -> a dash. Never rounds to 100% what is not all, nor to 0% what is some."""
    if share is None or math.isnan(share):
        return NOTHING
    text = f"{100 * share:.{digits}f}"
    step = 10.0**-digits
    if share < 1 and float(text) >= 100:
        text = f"{100 - step:.{digits}f}"
    elif share > 0 and float(text) == 0:
        text = f"{step:.{digits}f}" if share >= step / 200 else f"less than {step:.{digits}f}"
    return text + "%"


def points(share: float | None) -> str:
    """A difference of two shares in percentage points, with its sign: 0.031 -> "+3.1 points"."""
    if share is None or math.isnan(share):
        return NOTHING
    value = 100 * share
    if abs(value) < 0.05:
        return "0.0 points"
    return f"{'+' if value > 0 else '−'}{abs(value):.1f} points"


def count(number: int) -> str:
    """1234567 -> "1,234,567"."""
    return f"{number:,}"


def images(number: int) -> str:
    """ "1 image", "2 images"."""
    return f"{count(number)} image{'' if number == 1 else 's'}"


def probability(p: float) -> str:
    """A p-value: "p = 0.031", "p < 0.0001"."""
    if p < 0.0001:
        return "p < 0.0001"
    return f"p = {p:.4f}" if p < 0.001 else f"p = {min(p, 1.0):.3f}" if p < 0.1 else f"p = {min(p, 1.0):.2f}"


def duration(seconds: float) -> str:
    """42 -> "42 s", 135 -> "2 min 15 s", 7380 -> "2 h 3 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def scientific(number: float) -> str:
    """2.4e-07 -> "2.4 × 10⁻⁷"."""
    if number == 0:
        return "0"
    mantissa, exponent = f"{number:.1e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPT)}"


def comparison(pair: Paired) -> str:
    """McNemar's test, said in words."""
    b, c, p = pair.only_candidate, pair.only_baseline, pair.p_value
    if b + c == 0:
        return (
            "Both models are right on exactly the same images: these test images do not tell them apart "
            "(exact McNemar test, p = 1)."
        )
    counts = (
        f"Of the {images(b + c)} that one model gets right and the other wrong, "
        f"the candidate is right on {count(b)} and the baseline on {count(c)}."
    )
    chance = (
        f"If the two were equally good, a split at least this uneven would come up in {percent(p)} of test splits "
        f"like this one (exact McNemar test, {probability(p)})."
    )
    if p >= SIGNIFICANT:
        return f"The two cannot be told apart on these test images. {counts} {chance}"
    better, worse = ("candidate", "baseline") if b > c else ("baseline", "candidate")
    return f"The {better} is better than the {worse}, beyond what chance explains. {counts} {chance}"


def transfer(stem: StemTransfer) -> str:
    """The stem report's claim and its proof."""
    measured = "" if stem.error is None else scientific(stem.error)
    if stem.claim == "exact":
        proof = f" (largest relative difference of the final features: {measured})" if measured else ""
        return f"Exact: before any training, the changed network computes what its source computes{proof}."
    proof = (
        f"the largest relative difference of the final features, before any training, is {measured}"
        if measured
        else "how far the final features differ from the source's was not measured"
    )
    return f"Approximate: the changed stem does not compute exactly what its source computes; {proof}."


def baseline(origin: Choice | None) -> str:
    """What the candidate was compared with, as a part of a sentence."""
    if origin is None or origin.path is None:
        return "the stock network"
    if origin.kind == "latest_approved":
        return f"the approved version {origin.version}"
    return f"the given model {origin.path}"


def baseline_story(origin: Choice | None) -> str:
    """What the baseline is, in a sentence or two."""
    if origin is None or origin.path is None:
        stock = "The baseline is the stock network, trained on the same images as the candidate"
        none = origin is not None and origin.skipped
        return f"{stock}: no approved version could take its place." if none else f"{stock}."
    what = "the newest approved version that could be taken" if origin.skipped else "the newest approved version"
    if origin.kind == "path":
        what = "the model that evaluate.baseline names"
    return f"The baseline is {what}: {origin.path}. It was not trained in this run; it was judged on its test images."


def sees(names: Sequence[str]) -> str | None:
    """What the stock baseline sees of the candidate's channels, in a sentence; None where that is all of them."""
    if tuple(names) == RGB or len(names) == 1:
        return None
    further = [name for name in names if name not in RGB] if set(RGB) <= set(names) else names
    also = "also " if len(further) < len(names) else ""
    return f"The baseline takes three channels and sees {brought(names)}; the candidate {also}sees {listed(further)}."


def brought(names: Sequence[str]) -> str:
    """What the stock network is given in place of bands: see `restem.trainer.network`."""
    return listed(RGB) if set(RGB) <= set(names) else "the mean of all bands"


def listed(names: Sequence[str]) -> str:
    """("a", "b", "c") -> "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def reason(sentence: str) -> str:
    """The Evaluator's reason without its opening "Approved:", which the banner says already."""
    for opening in ("Approved: ", "Not approved: "):
        sentence = sentence.removeprefix(opening)
    return sentence[:1].upper() + sentence[1:]


def measured(value: float, demand: Threshold) -> str:
    """A threshold's limit or what was reached, in the threshold's own unit."""
    return points(value) if demand.kind == "relative" else percent(value)
