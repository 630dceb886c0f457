"""The YAML of configurations: `Loader` reads whatever `dump` writes as the same value."""

import re
from typing import Any

import yaml

from restem.visible import visible, visible_lines


class Loader(yaml.SafeLoader):
    """Reads 1e-4 as a number too; YAML 1.1, which PyYAML implements, requires 1.0e-4.

    A key is never true or false, or a date: in YAML 1.1, `on` is true.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Like PyYAML's, with text for keys such as on, off, yes, no and 2026-11-27."""
        for key, _ in node.value:
            if key.tag in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"):
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes a string that `Loader` would read as a number, and one with control characters, such as line breaks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML would write a line break in quotes as two line breaks.
    style = None if text == visible(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)

for _kind in (Loader, _Dumper):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )


def dump(value: Any, *, width: int = 100) -> str:
    """A value as YAML, one key per line; mappings keep their order. Control characters in it are escaped."""
    text = _dumped(value, width=width, unicode=True)
    return text if visible_lines(text) == text else _dumped(value, width=width, unicode=False)


def dump_inline(value: Any) -> str:
    """A value as YAML on one line. Control characters in it are escaped."""
    text = _dumped(value, width=float("inf"), unicode=True, inline=True)
    text = text if visible_lines(text) == text else _dumped(value, width=float("inf"), unicode=False, inline=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _dumped(value: Any, *, width: float, unicode: bool, inline: bool = False) -> str:
    return yaml.dump(  # a safe dumper
        value, Dumper=_Dumper, default_flow_style=inline, sort_keys=False, allow_unicode=unicode, width=width
    )
