"""Reads YAML safely, with the line of every key, and reports duplicate keys."""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from restem.errors import RestemError
from restem.yaml_dialect import Loader

KeyPath = tuple[str | int, ...]
MAX_KEYS = 20_000
MAX_DEPTH = 50
SHOWN_LETTERS = 200
SURROGATE = re.compile("[\ud800-\udfff]")


class _Limited(Loader):
    """Stops while it reads, so that a megabyte of brackets or commas is refused at once."""

    _depth = _count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Like PyYAML's; `_check_nodes` counts again, with the aliases.

        Raises:
            ValueError: with the limit.
        """
        self._count += 1
        if self._count > MAX_KEYS:
            raise ValueError(f"more than {MAX_KEYS:,} values")
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            raise ValueError(f"more than {MAX_DEPTH} levels")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


@dataclass(frozen=True)
class YamlDocument:
    """A parsed file: plain data, and the line (from 1) of each key path."""

    data: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)
    duplicates: tuple[tuple[KeyPath, int, int], ...] = ()  # (key path, first line, second line)


def parse_value(text: str) -> Any:
    """Parses one YAML value: "3" is 3, "[a, b]" is a list, "" is null. Raises RestemError."""
    loader = None
    try:
        loader = _Limited(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_nodes(node)
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RestemError(
            "the value is not valid YAML",
            given=repr(text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]}..."),
            remedy=f"{_problem(error)}; quote it if it is text",
        ) from None
    finally:
        if loader is not None:
            loader.dispose()


def parse_document(text: str, name: str) -> YamlDocument:
    """Parses one document. `name` is the file's name for messages.

    Raises:
        RestemError: the text is not YAML; the message has line and column.
    """
    loader = None
    try:
        loader = _Limited(text)
        node = loader.get_single_node()
        if node is None:
            return YamlDocument(None)
        _check_nodes(node)
        lines: dict[KeyPath, int] = {}
        duplicates: list[tuple[KeyPath, int, int]] = []
        _collect(loader, node, (), lines, duplicates)
        return YamlDocument(loader.construct_document(node), lines, tuple(duplicates))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
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
def _collect(loader: Loader, node: yaml.Node, path: KeyPath, lines: dict, duplicates: list) -> None:
    """Walks the node tree, whose size is checked."""
    lines.setdefault(path, node.start_mark.line + 1)
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
            _collect(loader, value_node, (*path, key), lines, duplicates)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _collect(loader, item, (*path, index), lines, duplicates)


def _check_nodes(node: yaml.Node) -> None:
    """Refuses a few lines that stand for a huge tree: aliases of aliases, also in merge keys (<<), and deep nesting.

    Also text that is none: "\\ud83d" and the like, which no file and no JSON can hold.

    Raises:
        ValueError: with the limit.
        yaml.MarkedYAMLError: with the place of such text.
    """
    sizes: dict[int, int] = {}  # of finished nodes, with all aliases expanded
    above: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in above:
            raise ValueError("an alias refers to itself")
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} levels")
        if isinstance(node, yaml.ScalarNode) and SURROGATE.search(node.value):
            problem = "an escape such as \\ud83d is half of a character: write the character itself"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        above.add(id(node))
        inside = node.value if isinstance(node, yaml.MappingNode | yaml.SequenceNode) else []
        parts = (part for item in inside for part in (item if isinstance(item, tuple) else (item,)))
        total = 1 + sum(size(part, depth + 1) for part in parts)
        if total > MAX_KEYS:
            raise ValueError(f"more than {MAX_KEYS:,} values")
        above.remove(id(node))
        sizes[id(node)] = total
        return total

    size(node, 0)


def _problem(error: Exception) -> str:
    if isinstance(error, RecursionError):  # PyYAML's parser
        return f"more than {MAX_DEPTH} levels"
    text = getattr(error, "problem", None) or str(error).splitlines()[0]
    context = getattr(error, "context", None)
    return f"{text} ({context})" if context else text
