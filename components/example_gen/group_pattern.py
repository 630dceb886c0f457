"""data.group as a regular expression: it has one group, and matching it takes a bounded time on any path."""

import re
from typing import Any

from restem.errors import RestemError

_MOST_REPETITIONS = 4  # of one pattern
_FEW_TIMES = 100  # repetitions with a bound up to this one are cheap


def compiled_group(pattern: str) -> re.Pattern:
    """data.group as a compiled regular expression.

    Raises:
      RestemError: it is not a regular expression, or does not have exactly one group in parentheses.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise RestemError(
            "this is not a regular expression", where="data.group", given=f"{pattern!r}: {error}"
        ) from None
    if compiled.groups != 1:
        raise RestemError(
            "the regular expression must have one group in parentheses",
            where="data.group",
            expected=r"a pattern that finds the patient, slide or scene in a path, such as 'patient-(\d+)'",
            given=repr(pattern),
        )
    if _too_costly(re._parser.parse(pattern)):  # type: ignore[attr-defined]  # the parsed form has no public name
        raise RestemError(
            "this regular expression may take very long on some paths",
            where="data.group",
            expected=f"no repetition inside a repetition, as in (a+)+, and at most {_MOST_REPETITIONS} of * and +",
            given=repr(pattern),
            remedy=r"Use bounds, such as \d{1,9}, or [^/_]+ between separators",
        )
    return compiled


def _too_costly(parsed: Any) -> bool:
    """Whether matching may need more steps than a small power of a path's length."""
    repeated = _unbounded(parsed)
    # Alternatives inside a repetition may match the same text in many ways, too.
    nested = any(_unbounded(one) or any(str(operation) == "BRANCH" for operation, _ in one) for one in repeated)
    return nested or len(repeated) > _MOST_REPETITIONS


def _unbounded(parsed: Any) -> list[Any]:
    """What is repeated without a bound, or more than a hundred times, in a parsed regular expression."""
    repeats = []
    for operation, argument in parsed:
        name = str(operation)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and argument[1] > _FEW_TIMES:
            repeats.append(argument[2])
            continue
        parts = argument if isinstance(argument, tuple | list) else [argument]
        for part in parts:
            for inner in part if isinstance(part, list) else [part]:
                if isinstance(inner, re._parser.SubPattern):  # type: ignore[attr-defined]
                    repeats += _unbounded(inner)
    return repeats
