"""Formats numbers, and writes the page's key sentences."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from restem.baseline.choice import Choice
from restem.evaluator.figures import NOTHING, count, images, percent, points
from restem.evaluator.paired import Paired
from restem.evaluator.terms import EACH_SIDE
from restem.images.config import RGB
from restem.report.data import StemTransfer

__all__ = ["NOTHING", "count", "images", "percent", "points"]  # for the page, beside what is defined here
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def large(number: int) -> str:
    """3858000000 -> "3.86 billion", 12300000 -> "12.3 million"; smaller numbers are complete."""
    for value, name in ((1e9, "billion"), (1e6, "million")):
        if number >= value:
            return f"{float(f'{number / value:.3g}'):,g} {name}"
    return count(number)


def times(ratio: float) -> str:
    """3.94 -> "3.9 times", 0.126 -> "0.13 times"; two digits, or all in front of the point."""
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{float(f'{ratio:.2g}'):g} times"


def tensorboard(folders: Mapping[str, str | None]) -> str | None:
    """The command that opens the event files; None without any.

    Args:
      folders: with the event files, by the name that TensorBoard shows; None: that model has none.
    """
    found = {name: folder for name, folder in folders.items() if folder}
    if not found:
        return None
    if len(found) == 1 or any("," in folder for folder in found.values()):  # the list's separator
        return " or ".join(f"tensorboard --logdir {shlex.quote(folder)}" for folder in found.values())
    return f"tensorboard --logdir_spec {shlex.quote(','.join(f'{name}:{folder}' for name, folder in found.items()))}"


def duration(seconds: float) -> str:
    """42 -> "42 s", 135 -> "2 min 15 s", 7380 -> "2 h 3 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def milliseconds(seconds: float) -> str:
    """0.0123 -> "12.3 ms", 1.2 -> "1,200 ms"."""
    number = 1000 * seconds
    return f"{number:,.0f} ms" if number >= 100 else f"{number:.3g} ms"


def size(number: int) -> str:
    """94500000 -> "94.5 MB", 12345 -> "12.3 kB"; powers of 1,000."""
    for value, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= value:
            return f"{float(f'{number / value:.3g}'):,g} {name}"
    return f"{number} bytes"


def scientific(number: float) -> str:
    """2.4e-07 -> "2.4 × 10⁻⁷"."""
    if number == 0:
        return "0"
    mantissa, exponent = f"{number:.1e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPT)}"


def comparison(pair: Paired) -> str:
    """Whether the two models can be told apart, by the interval that decides about requirements too."""
    b, c, found = pair.only_candidate, pair.only_baseline, pair.difference
    ends = (
        f"{points(found.low)} to {points(found.high)}, each end with one-sided {percent(EACH_SIDE, 0)} confidence; "
        "requirements are decided on the same limits"
    )
    if b + c == 0:
        return (
            "Both models are right on exactly the same images, so these test images show no difference between them "
            f"(interval of the difference: {ends})."
        )
    counts = (
        f"On {images(b + c)}, one model is right and the other wrong: "
        f"the candidate is right on {count(b)}, the baseline on {count(c)}."
    )
    if not pair.told_apart:
        start = "There is no statistically significant difference between the two models."
        return f"{start} {counts} The interval of the difference contains zero ({ends})."
    better, worse = ("candidate", "baseline") if b > c else ("baseline", "candidate")
    start = f"The {better} is better than the {worse} (statistically significant)."
    return f"{start} {counts} The interval of the difference does not contain zero ({ends})."


def transfer(stem: StemTransfer) -> str:
    """The claim of the stem's transfer report and its proof."""
    measured = "" if stem.error is None else scientific(stem.error)
    untrained = "" if stem.trained else " But the source has random weights: there was nothing that it knew."
    if stem.claim == "exact":
        proof = f" (largest relative difference of the final features: {measured})" if measured else ""
        same = "Exact: before training, the modified network computes the same function as its source"
        return f"{same}{proof}.{untrained}"
    proof = (
        f"the largest relative difference of the final features before training is {measured}"
        if measured
        else "the difference of the final features was not measured"
    )
    same = "Approximate: the modified network does not compute exactly the same function as its source"
    return f"{same}; {proof}.{untrained}"


def baseline(origin: Choice | None) -> str:
    """The baseline that the candidate is compared with, as part of a sentence."""
    if origin is None or origin.path is None:
        return "the stock network"
    if origin.kind == "latest_approved":
        return f"the approved version {origin.version}"
    return f"the given model {origin.path}"


def baseline_story(origin: Choice | None) -> str:
    """Describes the baseline."""
    if origin is None or origin.path is None:
        stock = "The baseline is the stock network, trained on the same images as the candidate"
        none = origin is not None and origin.skipped
        return f"{stock}, because no approved version could be used." if none else f"{stock}."
    what = "the newest usable approved version" if origin.skipped else "the newest approved version"
    if origin.kind == "path":
        what = "the model set in evaluate.baseline"
    return f"The baseline is {what}: {origin.path}. It was not trained in this run, only evaluated on its test images."


def sees(names: Sequence[str]) -> str | None:
    """Says which of the candidate's channels the stock baseline sees; None if it sees all of them."""
    if tuple(names) == RGB or len(names) == 1:
        return None
    further = [name for name in names if name not in RGB] if set(RGB) <= set(names) else names
    also = "also " if len(further) < len(names) else ""
    return f"The baseline has three channels and sees {brought(names)}; the candidate {also}sees {listed(further)}."


def brought(names: Sequence[str]) -> str:
    """The input of the stock network in place of the bands, see `restem.trainer.network`."""
    return listed(RGB) if set(RGB) <= set(names) else "the mean of all bands"


def listed(names: Sequence[str]) -> str:
    """("a", "b", "c") -> "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def reason(sentence: str) -> str:
    """The Evaluator's reason without its prefix "Approved:", which the banner already shows."""
    for opening in ("Approved: ", "Not approved: "):
        sentence = sentence.removeprefix(opening)
    return sentence[:1].upper() + sentence[1:]
