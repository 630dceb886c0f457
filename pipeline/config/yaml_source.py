"""Reads YAML safely, with the line of every key, and reports duplicate keys."""

from dataclasses import dataclass, field
from typing import Any

import yaml

from restem.errors import RestemError
from restem.yaml_dialect import Loader

KeyPath = tuple[str | int, ...]
MAX_KEYS = 20_000


@dataclass(frozen=True)
class YamlDocument:
    """A parsed file: plain data, and the line (from 1) of each key path."""

    data: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)
    duplicates: tuple[tuple[KeyPath, int, int], ...] = ()  # (key path, first line, second line)


def parse_value(text: str) -> Any:
    """Parses one YAML value: "3" is 3, "[a, b]" is a list, "" is null. Raises RestemError."""
    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506 - a subclass of SafeLoader
    except (yaml.YAMLError, ValueError) as error:
        raise RestemError(
            "the value is not valid YAML", given=repr(text), remedy=f"{_problem(error)}; quote it if it is text"
        ) from None


def parse_document(text: str, name: str) -> YamlDocument:
    """Parses one document. `name` is the file's name for messages.

    Raises:
        RestemError: the text is not YAML; the message has line and column.
    """
    loader = None
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            return YamlDocument(None)
        lines: dict[KeyPath, int] = {}
        duplicates: list[tuple[KeyPath, int, int]] = []
        _collect(loader, node, (), lines, duplicates, seen=set())
        return YamlDocument(loader.construct_document(node), lines, tuple(duplicates))
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name
        raise RestemError(
            "this is not valid YAML", where=where, given=_problem(error), remedy="Check indentation, colons and quotes"
        ) from None
    finally:
        if loader is not None:
            loader.dispose()


# ruamel.yaml reports lines and duplicates, but its loader with lines replaces an alias that refers to itself by null,
# and stops at the first duplicate without its key path. A walk over its nodes would be the same as this one.
def _collect(loader: Loader, node: yaml.Node, path: KeyPath, lines: dict, duplicates: list, seen: set) -> None:
    """Walks the node tree; `seen` contains the ids of the nodes above this one."""
    lines.setdefault(path, node.start_mark.line + 1)
    if id(node) in seen:
        raise ValueError("an alias refers to itself")
    if len(lines) > MAX_KEYS:  # aliases of aliases expand to a huge tree from a few lines of text
        raise ValueError(f"more than {MAX_KEYS:,} values")
    seen = seen | {id(node)}
    if isinstance(node, yaml.MappingNode):
        first: dict[Any, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else str(key_node.start_mark)
            line = key_node.start_mark.line + 1
            if key in first:
                duplicates.append(((*path, key), first[key], line))
            first.setdefault(key, line)
            lines[(*path, key)] = line
            _collect(loader, value_node, (*path, key), lines, duplicates, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _collect(loader, item, (*path, index), lines, duplicates, seen)


def _problem(error: Exception) -> str:
    text = getattr(error, "problem", None) or str(error).splitlines()[0]
    context = getattr(error, "context", None)
    return f"{text} ({context})" if context else text
