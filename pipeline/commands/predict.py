"""`restem predict`: classifies images with a pushed model."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from restem.pipeline.commands.options import json_option
from restem.pipeline.commands.progress_text import progress_text
from restem.visible import say

MOST_SHOWN = 1000  # images whose answers are printed


@click.command()
@click.argument("model_dir", metavar="MODEL")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|FOLDER...")
@click.option(
    "--out", metavar="FILE.csv", help="Write a table; if it is interrupted, the same command goes on with it."
)
@click.option("--trust", is_flag=True, help="Also load a model that restem did not write, or whose files have changed.")
@json_option
def predict(model_dir: str, images: tuple[str, ...], out: str | None, trust: bool, as_json: bool) -> int:
    """Classify IMAGEs, and all files in FOLDERs and their sub-folders, with a MODEL.

    MODEL is the folder of one version, or of all versions: then the newest is used; or of a run (--root): then its
    newest approved version is used, or else the model that was refused, with a warning. The table has the columns path,
    label, probability, error, and one for each of up to 100 classes. The exit code is 1 if an image cannot be read.

    A SavedModel is a program: its graph can read and write files of this machine. Without --trust, only models with
    the complete record that restem writes, and with the files that were pushed, are loaded. This protects from loading
    a stranger's SavedModel by mistake, and from damage. It does not protect from somebody who copies such a record, or
    who can change the files of your models. The model runs in a process of its own, whose environment has no
    credentials.
    """
    from restem.errors import RestemError
    from restem.model_files import fingerprint
    from restem.pipeline.errors import Interrupted
    from restem.pipeline.local.found_model import find_model
    from restem.pipeline.local.worker import run_in_worker
    from restem.pusher.reading import reading

    target = _target(out) if out else None
    found = find_model(model_dir, trust=trust)
    files = list_files(images)
    if target is None and not as_json and len(files) > MOST_SHOWN:
        raise RestemError(
            f"{len(files):,} images are too many to print",
            expected=f"at most {MOST_SHOWN:,}",
            remedy="Give --out FILE.csv",
        )
    if found.warning:
        say(found.warning, file=sys.stderr, flush=True)
    classes, max_bytes = _about(found.path)
    request = {
        "model": str(found.path),
        "images": files,
        "classes": classes,
        "max_bytes": max_bytes,
        "out": str(target) if target else None,
        "fingerprint": fingerprint(str(found.path)) if target else "",
    }
    with reading(str(found.path)), _Progress(sys.stderr) as show:
        try:
            results = run_in_worker("restem.pipeline.local.tasks:predict", request, on_event=show, runs_model=True)
        except Interrupted as interrupt:
            if target is None:
                raise
            raise Interrupted(interrupt.signum, f"the same command goes on with {target}.part") from None
    if target is not None:
        return _tell_table(results, found.path, target, as_json=as_json)
    return _show(results, found.path, as_json=as_json)


def list_files(names: Sequence[str]) -> list[str]:
    """The named files, and all files in the named folders, sorted; without hidden ones.

    Raises:
        RestemError: there is no such file, or there are none in a folder.
    """
    from restem.errors import RestemError

    found: dict[str, None] = {}
    for name in names:
        if os.path.isfile(name):
            found[name] = None
            continue
        if not os.path.isdir(name):
            raise RestemError("there is no such image file or folder", where=name, expected="local files or folders")
        inside = sorted(_walk(name))
        if not inside:
            raise RestemError("there are no files in this folder", where=name)
        found |= dict.fromkeys(inside)
    return list(found)


def _walk(folder: str) -> Iterator[str]:
    def failed(error: OSError) -> None:
        say(f"restem: {error.filename} cannot be read: {error.strerror}; left out", file=sys.stderr)

    for here, folders, names in os.walk(folder, onerror=failed):
        for name in folders:
            if os.path.islink(os.path.join(here, name)) and not name.startswith("."):
                say(f"restem: {os.path.join(here, name)} is a link to a folder; left out", file=sys.stderr)
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.join(here, name) for name in names if not name.startswith("."))


def _target(out: str) -> Path:
    """The table's path.

    Raises:
        RestemError: it cannot be written.
    """
    from restem.errors import RestemError

    path = Path(os.path.expanduser(out)).absolute()
    if path.suffix.lower() != ".csv":
        raise RestemError("the table needs the ending .csv", where=f"--out {out}")
    if path.exists():
        remedy = "Choose another name, or remove it first"
        raise RestemError("this already exists and is not overwritten", where=f"--out {out}", remedy=remedy)
    if not path.parent.is_dir():
        raise RestemError("there is no such folder", where=f"--out {out}", given=str(path.parent))
    if not os.access(path.parent, os.W_OK):
        raise RestemError("the folder cannot be written to", where=f"--out {out}", given=str(path.parent))
    return path


def _about(model: Path) -> tuple[list[str] | None, int]:
    """The names of a model's classes, if its record has them, and the largest file that it takes, in bytes."""
    from restem.example_gen.config import DataConfig
    from restem.record_files import DamagedRecord
    from restem.run_record import EXTRA, read_classes, read_model

    largest = DataConfig.model_fields["max_bytes"].default
    try:
        classes = read_classes(f"{model}/{EXTRA}")
        limit = (read_model(f"{model}/{EXTRA}").config.get("data") or {}).get("max_bytes", largest)
    except (DamagedRecord, OSError, AttributeError):
        return None, largest
    return classes, limit if isinstance(limit, int) else largest


class _Progress:
    """Shows the events of a prediction: a line that changes on a terminal, else one line every few seconds."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._shown = False

    def __enter__(self) -> Callable[[dict], None]:
        return self._on_event

    def __exit__(self, *_: object) -> None:
        if self._shown and self._stream.isatty():
            self._stream.write("\r\033[K")
            self._stream.flush()

    def _on_event(self, event: dict) -> None:
        if event["event"] != "progress":
            return
        self._shown = True
        text = progress_text(event)
        self._stream.write(f"\r\033[K{text}" if self._stream.isatty() else f"{text}\n")
        self._stream.flush()


def _tell_table(counts: dict[str, int], model: Path, target: Path, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"model": str(model), "out": str(target), **counts}))
    else:
        kept = f" ({counts['kept']:,} of them by an earlier call)" if counts["kept"] else ""
        say(f"{counts['images']:,} images{kept}: {target}")
        if counts["failed"]:
            say(f"{counts['failed']:,} of them cannot be read: the column error says why.", file=sys.stderr)
    return 1 if counts["failed"] else 0


def _show(results: list[dict], model: Path, *, as_json: bool) -> int:
    from rich.table import Table

    from restem.pipeline.commands.console import escape, print_table
    from restem.visible import visible

    failed = [result for result in results if "error" in result]
    for result in results:
        result.pop("probabilities", None)
    if as_json:
        print(json.dumps({"model": str(model), "predictions": results}))
        return 1 if failed else 0
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("image", "label", "probabilities"):
        table.add_column(name, overflow="fold")
    for result in results:
        if "error" in result:
            table.add_row(escape(visible(result["path"])), "[red]unreadable[/red]", escape(visible(result["error"])))
        else:
            scores = ", ".join(f"{name} {score:.3f}" for name, score in result["scores"].items())
            table.add_row(*(escape(visible(text)) for text in (result["path"], result["label"], scores)))
    print_table(table, sys.stdout)
    return 1 if failed else 0
