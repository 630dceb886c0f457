"""Says what is wrong with a configuration: key, what was expected, what was given, and the remedy."""

import difflib
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from restem.errors import RestemError
from restem.pipeline.config.yaml_source import KeyPath

# Keys of earlier versions. The nearest spelling is a wrong hint for them: step is nearest to steps.
RENAMED: dict[KeyPath, KeyPath] = {("kubeflow", "step"): ("kubeflow", "step_defaults")}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    key: KeyPath
    what: str
    expected: str | None = None
    given: str | None = None
    remedy: str | None = None


class ConfigError(RestemError):
    """Every problem of one configuration file in one message; `problems` has them one by one."""

    def __init__(self, file: str, problems: list[Problem], lines: dict[KeyPath, int], overridden: set[KeyPath]) -> None:
        self.problems = tuple(problems)
        told = [
            RestemError(
                problem.what,
                where=_where(problem.key, file if len(problems) == 1 else None, lines, overridden),
                expected=problem.expected,
                given=problem.given,
                remedy=problem.remedy,
            ).paragraph()
            for problem in problems
        ]
        if len(told) == 1:
            super().__init__(told[0])
        else:
            listed = "\n".join(f"  {text}" for text in told)
            super().__init__(f"{file} has {len(told)} problems:\n{listed}")


def dotted(key: KeyPath) -> str:
    """("image", "bands", 0) as "image.bands[0]"."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _where(key: KeyPath, file: str | None, lines: dict[KeyPath, int], overridden: set[KeyPath]) -> str | None:
    """The key with the place it was given at; for a missing key the place of the section it misses in."""
    if not key:
        return file
    place = []
    if any(key[: len(part)] == part for part in overridden):
        place.append("given by --set")
    else:
        if file:
            place.append(file)
        known = next((lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), None)
        if known:
            place.append(f"line {known}")
    return f"{dotted(key)} ({', '.join(place)})" if place else dotted(key)


def explain(error: ValidationError, data: Any, model: type[BaseModel]) -> list[Problem]:
    """pydantic's errors in the reader's words, one for each key, in the order of the file.

    A union reports an error for each of its members: those are told as one.
    """
    schema = model.model_json_schema()
    problems: dict[KeyPath, Problem] = {}
    for item in error.errors(include_url=False):
        key = _key(item["loc"], model)
        if key not in problems:
            problems[key] = _problem(key, item, data, model, schema)
    return list(problems.values())


def _key(location: tuple, model: type[BaseModel]) -> KeyPath:
    """The part of pydantic's location that is keys of the file: fields, a section's names, a list's indices."""
    key: list = []
    current: Any = model
    for part in location:
        if part == "[key]":  # the error is about the name itself
            break
        if isinstance(part, int) or current is not None:
            key.append(part)
            current = _below(current, part)
        # Else inside a field: the name of a union's member says nothing to the reader.
    return tuple(key)


def _below(container: Any, part: Any) -> Any:
    """What stands at `part` of a section, a list or a mapping, as a type; None for what has nothing below it."""
    if isinstance(container, type) and issubclass(container, BaseModel):
        field = container.model_fields.get(part)
        return _container(field.annotation) if field else None
    arguments = [argument for argument in get_args(container) if argument is not Ellipsis]
    return _container(arguments[-1]) if arguments else None


def _container(annotation: Any) -> Any:
    """The section, list or mapping that an annotation allows; None where it allows plain values only."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _container(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return next((found for found in map(_container, get_args(annotation)) if found is not None), None)
    if origin in (tuple, list, dict):
        inner = _container(get_args(annotation)[-1 if origin is dict else 0])
        return annotation if origin is dict or inner is not None else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _problem(key: KeyPath, item: ErrorDetails, data: Any, model: type[BaseModel], schema: dict) -> Problem:
    kind = item["type"]
    if kind == "extra_forbidden":
        return Problem(key, "unknown key", given=_shown(item["input"]), remedy=_suggestion(key, model))
    if kind == "literal_error" and item["loc"][-1] == "[key]":
        return Problem(key, "unknown name", given=repr(key[-1]), remedy=_suggestion(key, model))
    if kind == "missing":
        return Problem(key, "missing key", expected=_expected(key, schema), remedy=f"Add {dotted(key)}")
    if kind == "value_error":
        cause = item["ctx"]["error"]
        if isinstance(cause, RestemError):
            return Problem(key, cause.what, cause.expected, cause.given, cause.remedy)
        # The sections' own checks tell the whole story, what was given included.
        return Problem(key, str(cause))
    expected = _expected(key, schema) or item["msg"]
    return Problem(key, "the value is wrong", expected, _shown(_value(data, key, item["input"])), _remedy(item))


def _value(data: Any, key: KeyPath, otherwise: Any) -> Any:
    """What the file has at `key`: pydantic shows a list's item where the reader needs the list."""
    for part in key:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return otherwise
    return data


def _remedy(item: ErrorDetails) -> str | None:
    given = item["input"]
    if item["type"] == "string_type" and isinstance(given, bool | int | float):
        return "Quote it if it is meant as text"
    if item["type"].startswith(("int", "float", "bool")) and isinstance(given, str):
        return "Leave out the quotes if there are any"
    return None


def _suggestion(key: KeyPath, model: type[BaseModel]) -> str:
    """A renamed key's new name, else the nearest known key: in the same section, or the same name in another one."""
    if key in RENAMED:
        return f"It is called {dotted(RENAMED[key])} now"
    here = _known_at(key[:-1], model)
    name = str(key[-1])
    near = difflib.get_close_matches(name, here, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {dotted((*key[:-1], near[0]))}?"
    elsewhere = [path for path in _all_keys(model) if path[-1] == name]
    if elsewhere:
        return f"Did you mean {' or '.join(dotted(path) for path in elsewhere[:3])}?"
    near = difflib.get_close_matches(name, sorted({str(path[-1]) for path in _all_keys(model)}), n=1, cutoff=0.8)
    if near:
        return f"Did you mean {dotted(next(path for path in _all_keys(model) if path[-1] == near[0]))}?"
    return f"Known here: {', '.join(here)}"


def _known_at(key: KeyPath, model: type[BaseModel]) -> list[str]:
    """The names that the section at `key` knows."""
    current: Any = model
    for part in key:
        current = _below(current, part)
    if isinstance(current, type) and issubclass(current, BaseModel):
        return list(current.model_fields)
    return [str(name) for name in get_args(get_args(current)[0])]  # a mapping from a Literal's names


def _all_keys(model: type[BaseModel], above: KeyPath = ()) -> list[KeyPath]:
    keys: list[KeyPath] = []
    for name, field in model.model_fields.items():
        keys.append((*above, name))
        section = _container(field.annotation)
        if isinstance(section, type):
            keys += _all_keys(section, (*above, name))
    return keys


def _expected(key: KeyPath, schema: dict) -> str:
    """What the schema says about `key`, in words; empty where it says nothing."""
    node = schema
    for part in key:
        node = _item(_resolve(node, schema), part, schema)
    return describe(node, schema)


def _item(node: dict, part: Any, schema: dict) -> dict:
    """What a schema's node says about a field, an index or a name in it."""
    for candidate in [node, *(_resolve(choice, schema) for choice in node.get("anyOf", []))]:
        if isinstance(part, int):
            if part < len(candidate.get("prefixItems", [])):
                return candidate["prefixItems"][part]
            if "items" in candidate:
                return candidate["items"]
        elif part in candidate.get("properties", {}):
            return candidate["properties"][part]
        elif isinstance(candidate.get("additionalProperties"), dict):
            return candidate["additionalProperties"]
    return {}


def _resolve(node: dict, schema: dict) -> dict:
    if "$ref" in node:
        return schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def describe(node: dict, schema: dict) -> str:
    """A JSON schema in words: {"type": "integer", "minimum": 1} is "a whole number, at least 1"."""
    node = _resolve(node, schema)
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(filter(None, (describe(part, schema) for part in node["anyOf"]))))
    if "enum" in node:
        values = [_shown(value) for value in node["enum"]]
        return f"one of {', '.join(values)}" if len(values) > 1 else values[0]
    if "const" in node:
        return _shown(node["const"])
    kind = node.get("type", "")
    if kind in ("integer", "number"):
        return ", ".join(["a whole number" if kind == "integer" else "a number", *_bounds(node)])
    if kind == "array":
        inner = node.get("items") or (node.get("prefixItems") or [{}])[0]
        count = (
            f" of {node['minItems']}" if node.get("minItems") and node.get("minItems") == node.get("maxItems") else ""
        )
        return f"a list{count} [{describe(inner, schema)}, ...]"
    if kind == "object" and "propertyNames" in node:
        return f"a section with {', '.join(node['propertyNames'].get('enum', []))}"
    if kind == "object":
        return f"a section with {', '.join(node['properties'])}" if "properties" in node else "a section"
    return {"string": "text", "boolean": "true or false", "null": "null"}.get(kind, "")


def _bounds(node: dict) -> list[str]:
    names = (
        ("minimum", "at least"),
        ("exclusiveMinimum", "more than"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "less than"),
    )
    return [f"{words} {_number(node[name])}" for name, words in names if name in node]


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) or value.is_integer() else f"{value:g}"


def _shown(value: Any) -> str:
    """A value as YAML would show it, cut to a line."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
