"""{SPAN} and {VERSION} in a path: data arrive in numbered spans, and a run reads the newest ones.

    /data/day-{SPAN}                       the folder with the largest number
    /data/day-{SPAN}/version-{VERSION}     the newest version of each of the newest days
    gs://bucket/day-{SPAN}/images.csv      also works for files

Spans are looked up when and where the step runs, so each run of a schedule finds the latest data.
"""

import os
import re
from dataclasses import dataclass

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import Layout, looks_like_records

SPAN, VERSION = "{SPAN}", "{VERSION}"
_GROUPS = {SPAN: r"(?P<span>\d+)", VERSION: r"(?P<version>\d+)"}


@dataclass(frozen=True, slots=True)
class Span:
    """One span: its number, its version (None if the path has no {VERSION}), and its path."""

    number: int | None
    version: int | None
    path: str


def base(path: str, layout: Layout) -> tuple[str, str]:
    """Splits a path into its fixed folder and the rest: ('/data', 'day-{SPAN}'). Examples' paths start at the folder.

    For a manifest or a file pattern, the rest is the file name. For a folder without placeholders, the rest is empty.
    """
    parts = path.split("/")
    numbered = [position for position, part in enumerate(parts) if SPAN in part or VERSION in part]
    if numbered:
        cut = numbered[0]
    elif layout == "manifest" or (layout == "tfrecord" and looks_like_records(path)):
        cut = len(parts) - 1
    else:
        return path, ""
    return "/".join(parts[:cut]) or ("/" if path.startswith("/") else "."), "/".join(parts[cut:])


def newest(path: str, count: int = 1) -> tuple[Span, ...]:
    """The newest spans of a path, each in its newest version, oldest first.

    Args:
      path: with {SPAN}, and optionally {VERSION} or wildcards after it; a path without {SPAN} is itself the only span.
      count: the maximum number of spans.

    Raises:
      RestemError: there is no span.
    """
    if SPAN not in path:
        return (Span(None, None, path),)
    found: dict[int, Span] = {}
    for number, version, place in _numbered(path):
        if number not in found or (version or 0) > (found[number].version or 0):
            found[number] = Span(number, version, place)
    if not found:
        raise RestemError(
            "there is no span",
            where=f"data.path ({path})",
            expected="a number in place of {SPAN}" + (" and of {VERSION}" if VERSION in path else ""),
            given=f"no match in {base(path, 'folders')[0]}",
        )
    return tuple(found[number] for number in sorted(found)[-count:])


def _numbered(path: str) -> list[tuple[int, int | None, str]]:
    """Span, version and path of everything that exists and matches a path with placeholders."""
    parts = path.split("/")
    last = max(i for i, part in enumerate(parts) if SPAN in part or VERSION in part)
    head, rest = "/".join(parts[: last + 1]), "/".join(parts[last + 1 :])
    pieces = re.split(r"(\{SPAN\}|\{VERSION\}|[*?])", head)
    seen: set[str] = set()
    expression = ""
    for piece in pieces:
        if piece in _GROUPS:
            name = "span" if piece == SPAN else "version"
            expression += _GROUPS[piece] if piece not in seen else f"(?P={name})"
            seen.add(piece)
        else:
            expression += {"*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece))
    compiled = re.compile(expression + (r"(?=/|$)" if storage.is_remote(path) else "$"))
    results = set()
    for candidate in _existing(head):
        if found := compiled.match(candidate):
            version = found.groupdict().get("version")
            place = found[0] + (f"/{rest}" if rest else "")
            # A path with a wildcard in the name stays a pattern; only its numbers are filled in.
            if set(head) & {"*", "?"}:
                place = path.replace(SPAN, found["span"]).replace(VERSION, version or "")
            results.add((int(found["span"]), None if version is None else int(version), place))
    return sorted(results, key=lambda one: (one[0], one[1] or 0, one[2]))


def _existing(head: str) -> list[str]:
    pattern = head.replace("[", "[[]").replace(SPAN, "*").replace(VERSION, "*")
    if storage.is_remote(head):
        # An object storage has only files; a folder is a common prefix of their names.
        return [path for form in (pattern, f"{pattern}/**") for path, _ in storage.match(form)]
    import glob

    return [path for path in glob.glob(pattern) if os.path.exists(path)]
