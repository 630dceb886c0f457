"""Jinja's environment for the HTML pages: escapes every value, and formats numbers as all pages do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from restem.report import formatting

if TYPE_CHECKING:
    from jinja2 import Environment


def environment() -> Environment:
    """A new environment whose templates are the files next to this module."""
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("restem.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("percent", "points", "count", "images", "duration", "reason"):
        templates.filters[name] = getattr(formatting, name)
    return templates
