"""Jinja's environment for pages and the model card: every value is escaped, and numbers have one format."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from restem.report import formatting
from restem.visible import visible_lines

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(escape: Callable[[Any], str] | None = None) -> Environment:
    """A new environment whose templates are the files next to this module.

    Args:
      escape: of every value; None: HTML's.
    """
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("restem.report", "."),
        autoescape=escape is None,  # noqa: S701 - else `finalize` escapes every value
        finalize=escape or _visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("percent", "points", "count", "images", "duration", "reason"):
        templates.filters[name] = getattr(formatting, name)
    return templates


def _visible(value: Any) -> Any:
    """Control characters in names become escapes; markup that the templates made stays as it is."""
    return visible_lines(value) if type(value) is str else value
