"""Text in Markdown: whatever a name contains, a reader sees it as it is."""

from __future__ import annotations

import re
from typing import Any

# The characters that CommonMark, and GitHub's tables, strikethrough and formulas, interpret inside a line.
INLINE = re.compile(r"([\\`*_\[\]<>|~&$^])")
BLOCK_START = re.compile(r"^(?:[#+=:-]|\d+(?=[.)](?:\s|$)))")
LINK = re.compile(r"(?<=\w):(?=//)|(?<=\bwww)\.", re.IGNORECASE)
# Line breaks, other control characters, and those that change the order of the text around them.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
DIRECTION = re.compile(r"[\u202a-\u202e\u2066-\u2069]")


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def escape(value: Any) -> str:
    """A value as plain text on one line of Markdown; `Markdown` is returned unchanged."""
    if isinstance(value, Markdown):
        return value
    text = LINK.sub(r"\\\g<0>", INLINE.sub(r"\\\1", _one_line(str(value))))
    start = BLOCK_START.match(text)
    if start is None:
        return text
    at = 0 if start.end() == 1 and not text[0].isdigit() else start.end()
    return f"{text[:at]}\\{text[at:]}"


def code(value: Any) -> Markdown:
    """A value as code on one line, in which Markdown interprets nothing; not for a table, where a bar still counts."""
    text = _one_line(str(value))
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    padding = " " if text[:1] in ("`", " ") or text[-1:] in ("`", " ") else ""
    return Markdown(f"{fence}{padding}{text}{padding}{fence}" if text else "")


def _one_line(text: str) -> str:
    return CONTROL.sub(" ", DIRECTION.sub("", text)).strip()
