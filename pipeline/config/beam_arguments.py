"""Checks beam.args against the options that the installed Beam knows: Beam itself drops unknown ones.

Importing Beam takes seconds, so the names are read from its source. `restem.pipeline.local.jobs` asks Beam's own parser
when a step starts; a test keeps the two equal.
"""

import ast
import difflib
import functools
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from restem.pipeline.config.errors import Problem
from restem.pipeline.config.sections import Config
from restem.pipeline.config.yaml_source import KeyPath

# Beam's modules that define options, relative to its folder: for all runners, and for one.
_SOURCE = "options/pipeline_options.py"
_SOURCES = {"dask": "runners/dask/dask_runner.py"}
Value = Literal["needed", "optional", "none"]
_DEFINES = ("add_argument", "add_value_provider_argument")
_NO_VALUE = ("store_true", "store_false", "store_const")
# Their job servers have options of their own, which only they know.
ASK_THE_SERVER = ("flink", "spark")
# From this likeness on, a name is a misspelling. Spark's own --spark_master is 0.86 like --spark_master_url.
_SURE = 0.87


@dataclass(frozen=True)
class Given:
    """One option in beam.args.

    Attributes:
      number: its index in the list.
      name: with its two hyphens.
      value: None: none is given.
    """

    number: int
    name: str
    value: str | None


@functools.cache
def known_options(runner: str) -> Mapping[str, Value]:
    """Beam's options by name, and whether each takes a value; empty if Beam is not installed."""
    spec = importlib.util.find_spec("apache_beam")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found: dict[str, Value] = {}
    for file in (Path(folder, source) for folder in folders for source in (_SOURCE, _SOURCES.get(runner, _SOURCE))):
        if file.is_file():
            found |= _defined(ast.parse(file.read_text(encoding="utf-8")))
    return found


def _defined(tree: ast.AST) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _DEFINES:
            told = {one.arg: ast.unparse(one.value).strip("'\"") for one in node.keywords}
            value: Value = "none" if told.get("action") in _NO_VALUE else "needed"
            if told.get("nargs") == "?":
                value = "optional"
            names = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            found |= dict.fromkeys(names, value)
    return found


def unknown_options(config: Config) -> list[Given]:
    """The options in beam.args that only a job server can know."""
    known = known_options(config.beam.runner)
    return [one for one in _options(config) if one.name not in known]


def value_of(config: Config, name: str) -> str | None:
    """The value of an option in beam.args, with its two hyphens; the last one counts, as for Beam. None: not given."""
    return next((one.value for one in reversed(_options(config)) if one.name == name), None)


def _options(config: Config) -> list[Given]:
    if not config.beam.args:
        return []
    read = _given(config.beam.args, known_options(config.beam.runner))
    return [one for one in read if isinstance(one, Given)]


def beam_problems(config: Config) -> list[Problem]:
    """What in beam.args Beam would drop, or stop at after it was loaded."""
    if not config.beam.args:  # Beam's source need not be read
        return []
    known = known_options(config.beam.runner)
    return list(_problems(config, known)) if known else []


def _problems(config: Config, known: Mapping[str, Value]) -> Iterator[Problem]:
    runner = config.beam.runner
    for one in _given(config.beam.args, known):
        if isinstance(one, Problem):
            yield one
            continue
        key: KeyPath = ("beam", "args", one.number)
        if one.name in known:
            if known[one.name] == "needed" and one.value is None:
                yield Problem(key, f"{one.name} needs a value", expected=f"{one.name}=VALUE", given=one.name)
            elif known[one.name] == "none" and one.value is not None:
                yield Problem(key, f"{one.name} takes no value", expected=one.name, given=f"{one.name}={one.value}")
            continue
        near = difflib.get_close_matches(one.name, known, n=1, cutoff=0.6)
        sure = difflib.get_close_matches(one.name, known, n=1, cutoff=_SURE)
        if runner in ASK_THE_SERVER and not sure:
            continue  # see `restem.pipeline.local.cluster`
        remedy = f"Did you mean {near[0]}?" if near else "Remove it; Beam would drop it without an error"
        yield Problem(key, f"Beam knows no such argument with runner {runner}", given=one.name, remedy=remedy)


def _given(arguments: tuple[str, ...], known: Mapping[str, Value]) -> Iterator[Given | Problem]:
    """Reads the list as a command line: a value stands behind "=" or in the next item."""
    number = 0
    while number < len(arguments):
        name, equals, value = arguments[number].partition("=")
        if not name.startswith("--") or len(name) == len("--"):
            given = repr(arguments[number])
            yield Problem(
                ("beam", "args", number), "this is no argument of Beam", expected="--NAME or --NAME=VALUE", given=given
            )
            number += 1
            continue
        follows = arguments[number + 1] if number + 1 < len(arguments) else "--"
        if equals or follows.startswith("--") or known.get(name) == "none":
            yield Given(number, name, value if equals else None)
            number += 1
        else:
            yield Given(number, name, follows)
            number += 2
