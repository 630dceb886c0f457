"""Figures as text."""

from __future__ import annotations

import math

NOTHING = "–"


def percent(share: float | None, digits: int = 1) -> str:
    """0.9716 -> "97.2%"; None or nan -> a dash. Only 1 is rounded to 100%, and only 0 to 0%."""
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


def limit(share: float) -> str:
    """A configured limit with all its digits: 0.985 -> "98.5", for percent or points."""
    return f"{100 * share:.10g}"


def about(number: int) -> str:
    """Two significant digits, never fewer images than meant: 2034 -> "2,100"."""
    step = 10 ** max(0, len(str(number)) - 2)
    return count(math.ceil(number / step) * step)
