"""`restem init`: proposes a configuration for a set of images."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from restem.errors import RestemError
from restem.visible import say


@click.command()
@click.argument("data", metavar="DIR|MANIFEST|TFRECORD")
@click.option("--out", metavar="FILE", help="The file to write. Default: standard output.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="data.KEY=VALUE",
    help="What only you know of the data, e.g. data.folders=class/split or data.columns.label=species. Repeatable.",
)
def init(data: str, out: str | None, overrides: tuple[str, ...]) -> None:
    """Look at images and write a configuration that is ready to run, with a reason for each value.

    DIR has one folder per class, or train/ and test/ (in any case, or Training/ and Testing/) with one folder per class
    in each, or TFRecord files. MANIFEST is a table (.csv, .tsv, .txt, .parquet) with one row per image. TFRECORD is a
    file of tf.Examples, or a quoted pattern.
    """
    from pydantic import ValidationError

    from restem.pipeline.datasets.proposal import BACKBONE, propose
    from restem.pipeline.imagenet import why_not_available

    path = Path(os.path.expanduser(out)) if out else None
    if path is not None and path.exists() and (path.is_dir() or path.stat().st_size):
        remedy = "Choose another name, or remove it first"
        raise RestemError("this already exists and is not overwritten", where=f"--out {path}", remedy=remedy)
    reason = why_not_available(BACKBONE)
    try:
        text = propose(os.path.expanduser(data), path, reason=reason, measure=_measure, given=_given(overrides))
    except RestemError as error:
        raise _with_option(error) from None
    except ValidationError as error:  # of a value from --set
        first = error.errors(include_url=False)[0]
        key = ".".join(["data", *map(str, first["loc"])])
        raise RestemError(first["msg"].removeprefix("Value error, "), where=f"--set {key}") from None
    if path is None:
        say(text, end="")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    this, picture = shlex.quote(str(path)), shlex.quote(str(path.with_suffix(".png")))
    say(f"Wrote {path}. Next: restem inspect --config {this} --contact-sheet {picture}", file=sys.stderr)
    say(f"Look at that picture: it shows what the model sees. Then: restem run --config {this}", file=sys.stderr)


def _given(overrides: Sequence[str]) -> dict[str, Any]:
    """The keys of the section `data` from --set."""
    from restem.pipeline.config.yaml_source import parse_value
    from restem.pipeline.datasets.layout import GIVEN_KEYS

    given: dict[str, Any] = {}
    for override in overrides:
        name, equals, text = override.partition("=")
        section, _, key = name.strip().partition(".")
        key, _, inner = key.partition(".")
        sections = ("columns", "features")
        if not equals or section != "data" or key not in GIVEN_KEYS or (bool(inner) != (key in sections)):
            known = ", ".join(f"data.{one}.NAME" if one in sections else f"data.{one}" for one in GIVEN_KEYS)
            raise RestemError(
                "restem init cannot set this", where=f"--set {override}", expected=f"KEY=VALUE, the key one of {known}"
            )
        value = parse_value(text)
        if inner:
            given.setdefault(key, {})[inner] = value
        else:
            given[key] = value
    return given


def _with_option(error: RestemError) -> RestemError:
    """An error whose remedy is a key of `data`, with the option by which `restem init` takes it."""
    if error.remedy is None or "data." not in error.remedy or "--set" in error.remedy:
        return error
    remedy = f"{error.remedy.rstrip('.')}. restem init takes such a key as --set data.KEY=VALUE"
    return RestemError(error.what, where=error.where, expected=error.expected, given=error.given, remedy=remedy)


def _measure(sizes: Sequence[tuple[int, int]]) -> list[float]:
    from restem.pipeline.datasets.proposal import BACKBONE
    from restem.pipeline.local.worker import run_in_worker

    say("ImageNet's weights cannot be had here: measuring how fast this machine trains ...", file=sys.stderr)
    request = {"backbone": BACKBONE, "sizes": [list(size) for size in sizes]}
    return run_in_worker("restem.pipeline.local.tasks:seconds_per_image", request)
