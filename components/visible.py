"""Shows names from outside (files, classes, columns) on a console, in a log or on a page, without acting on them.

A name may hold terminal escapes, line breaks, or characters that turn the direction of writing, so that what a person
reads is not what is there.
"""

import logging
import re
from typing import TextIO

# Control characters (C0, DEL, C1); line and paragraph separators; what turns the direction of writing, the byte order
# mark and the zero-width space, which are invisible; and surrogates, which stand for bytes that are not UTF-8.
_HIDDEN = (
    "\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
)
_ALL = re.compile(f"[{_HIDDEN}]")
_BUT_LINES = re.compile(f"[{_HIDDEN}]".replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def visible(text: str) -> str:
    r"""A name on one line, with every control character as an escape such as \x1b, \n or \u202e."""
    return text if text.isprintable() else _ALL.sub(_escaped, text)


def visible_lines(text: str) -> str:
    """The same for a message, which keeps its line breaks and tabs."""
    return text if text.isprintable() else _BUT_LINES.sub(_escaped, text)


def say(text: object, *, file: TextIO | None = None, end: str = "\n", flush: bool = False) -> None:
    """`print`, for text that may have names from outside in it."""
    print(visible_lines(str(text)), file=file, end=end, flush=flush)


class VisibleFormatter(logging.Formatter):
    """Formats a log record; control characters in it become escapes."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        return visible_lines(super().format(record))


def use_for_logs() -> None:
    """Gives the root logger's handlers this format, after logging.basicConfig."""
    for handler in logging.getLogger().handlers:
        old = handler.formatter
        handler.setFormatter(VisibleFormatter(old._fmt if old else None, old.datefmt if old else None))


def _escaped(match: re.Match) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")
