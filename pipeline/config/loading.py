"""Loads a configuration from a YAML file: reads it, applies overrides, validates it, makes its paths absolute."""

import copy
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from restem.errors import RestemError
from restem.evaluator.config import BASELINES, LATEST_APPROVED
from restem.example_gen.config import EMBEDDED, EMBEDDED_DIGITS
from restem.pipeline.config.beam_arguments import beam_problems
from restem.pipeline.config.errors import ConfigError, Problem, explain
from restem.pipeline.config.sections import Config, slug, with_values
from restem.pipeline.config.tuning import tuning_problems
from restem.pipeline.config.yaml_source import KeyPath, parse_document, parse_value
from restem.storage import is_remote

MAX_FILE_BYTES = 1 << 20
# The package's own configurations: name -> file.
EMBEDDED_CONFIGS = {EMBEDDED_DIGITS: Path(__file__).resolve().parents[1] / "configs" / "digits.yaml"}
MAX_ROUNDS = 10
# A valid value for each key without a default: used to find more problems after a mistake, never for a run.
STAND_INS: dict[KeyPath, Any] = {
    ("data",): {"path": "."},
    ("image",): {"size": 1},
    ("data", "path"): ".",
    ("image", "size"): 1,
}
# Keywords that are allowed instead of a path.
KEYWORDS = {
    ("model", "weights"): ("imagenet", "none", "pretrain", LATEST_APPROVED),
    ("model", "first_weights"): ("imagenet", "none"),
    ("data", "path"): EMBEDDED,
    ("pretrain", "path"): EMBEDDED,
    ("evaluate", "baseline"): BASELINES,
    ("push", "destination"): (),
    ("push", "verify_key"): (),
}


def load_config(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Config:
    """Reads, overrides and validates a configuration.

    Args:
        path: a YAML file, or "embedded:digits", the demo that comes with the package.
        overrides: "a.b=value" each, the value as in YAML; later ones win.

    Returns:
        The configuration, its paths absolute: those in the file are relative to the file's folder, those in
        overrides to the current folder.

    Raises:
        RestemError: the file cannot be read, or is not YAML.
        ConfigError: the file's content is wrong; the message lists all problems.
    """
    path = EMBEDDED_CONFIGS.get(str(path), Path(path))
    document = parse_document(_read(path), str(path))
    problems = [
        Problem(key, "duplicate key", given=f"line {first} and line {second}", remedy="Keep one of them")
        for key, first, second in document.duplicates
    ]
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        raise RestemError(
            "the file contains no configuration",
            where=str(path),
            expected="sections such as data, image and train, with a colon after each name",
            given=f"{type(data).__name__} {str(data)[:60]!r}",
            remedy="See pipeline/configs/digits.yaml for an example, or let 'restem init DIR' write one",
        )
    overridden = _override(data, overrides, problems)
    data.setdefault("name", slug(path.stem))
    config = None
    try:
        config = _validate(data)
        problems += tuning_problems(config)
        problems += beam_problems(config)
    except ValidationError as error:
        problems += _all_problems(error, data)
    if problems or config is None:
        raise ConfigError(str(path), problems, document.lines, overridden)
    return _absolute(config, path.resolve().parent, overridden)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:  # Its size is no limit: a pipe or /dev/zero has none.
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise RestemError("the file is too large for a configuration", where=str(path), expected="at most 1 MiB")
        return content.decode("utf-8")
    except FileNotFoundError:
        remedy = "Give an existing file, or let 'restem init DIR --out FILE' write one"
        raise RestemError("there is no such configuration file", where=str(path), remedy=remedy) from None
    except UnicodeDecodeError:
        raise RestemError("the file is not text", where=str(path), expected="YAML in UTF-8") from None
    except OSError as error:
        raise RestemError("the file cannot be read", where=str(path), given=error.strerror) from None


def _override(data: dict, overrides: list[str] | tuple[str, ...], problems: list[Problem]) -> set[KeyPath]:
    """Sets each "a.b=value" in `data`; returns the key paths that were set."""
    overridden: set[KeyPath] = set()
    for override in overrides:
        name, equals, text = override.partition("=")
        key: KeyPath = tuple(part.strip() for part in name.split("."))
        if not equals or not all(key):
            problems.append(
                Problem((), f"--set {override} cannot be read", expected="key.path=value, e.g. train.seed=3")
            )
            continue
        try:
            value = parse_value(text)
        except RestemError as error:
            problems.append(Problem(key, error.what, given=error.given, remedy=error.remedy))
            continue
        section = data
        for part in key[:-1]:
            # A missing or empty section is created here; other mistakes are found by the validation.
            if section.get(part) is None:
                section[part] = {}
            section = section[part]
            if not isinstance(section, dict):
                break
        if isinstance(section, dict):
            section[key[-1]] = value
            overridden.add(key)
        else:
            problems.append(Problem(key, "cannot be set: the key above it is not a section", given=repr(section)))
    return overridden


def _validate(data: dict) -> Config:
    """Validates strictly, as JSON: 3 is not text, "3" and true are not numbers, and a list may become a tuple."""
    # A section without content means its defaults.
    fields = Config.model_fields
    data = {
        key: {} if value is None and key in fields and fields[key].default is not None else value
        for key, value in data.items()
    }
    return Config.model_validate_json(json.dumps(data, default=str), strict=True)


def _all_problems(error: ValidationError, data: dict) -> list[Problem]:
    """Also finds problems that are checked only if each value is valid: replaces wrong values and validates again."""
    problems = explain(error, data, Config)
    data = copy.deepcopy(data)
    for _ in range(MAX_ROUNDS):
        for problem in problems:
            _stand_in(data, problem.key)
        try:
            _validate(data)
            break
        except ValidationError as again:
            known = {problem.key for problem in problems}
            more = [problem for problem in explain(again, data, Config) if problem.key not in known]
            if not more:
                break
            problems += more
    return problems


def _stand_in(data: Any, key: KeyPath) -> None:
    """Puts a valid value at `key`: the default (by removing the key), or the value in STAND_INS."""
    section: Any = data
    for part in key[:-1]:
        section = section.get(part) if isinstance(section, dict) else None
    if key and isinstance(section, dict):
        section.pop(key[-1], None)
        if key in STAND_INS:
            section[key[-1]] = STAND_INS[key]


def _absolute(config: Config, folder: Path, overridden: set[KeyPath]) -> Config:
    for (section_name, field), keywords in KEYWORDS.items():
        section = getattr(config, section_name)
        value = getattr(section, field)
        if value is None or value in keywords or is_remote(value):
            continue
        from_command_line = any(key in overridden for key in ((section_name,), (section_name, field)))
        base = Path.cwd() if from_command_line else folder
        config = with_values(config, **{section_name: {field: _resolved(base, value, f"{section_name}.{field}")}})
    if config.push.sign is not None:
        asked = {("push",), ("push", "sign"), ("push", "sign", "key")}
        base = Path.cwd() if asked & set(overridden) else folder
        key = _resolved(base, config.push.sign.key, "push.sign.key")
        config = with_values(config, push={"sign": config.push.sign.model_copy(update={"key": key})})
    base = Path.cwd() if ("kubeflow",) in overridden or ("kubeflow", "volumes") in overridden else folder
    volumes = tuple(
        volume.model_copy(update={"holds": _resolved(base, volume.holds, "kubeflow.volumes")})
        if volume.holds
        else volume
        for volume in config.kubeflow.volumes
    )
    return with_values(config, kubeflow={"volumes": volumes})


def _resolved(base: Path, path: str, key: str) -> str:
    try:
        path.encode()
        return str((base / Path(path).expanduser()).resolve())
    except (ValueError, RuntimeError) as error:  # a NUL, or a surrogate; ~ with an unknown user
        raise RestemError(
            "this path cannot exist", where=key, given=repr(path), remedy=f"{str(error).splitlines()[0]}"
        ) from None
