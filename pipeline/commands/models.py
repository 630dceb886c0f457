"""`restem models`: lists the released versions, and removes old ones."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from restem.pipeline.commands.destination import destination_options, find_destination
from restem.pipeline.commands.options import json_option
from restem.visible import say

if TYPE_CHECKING:
    from restem.pusher.prune import Plan
    from restem.pusher.registry import Entry


@click.group(invoke_without_command=True)
@destination_options
@json_option
@click.pass_context
def models(
    context: click.Context,
    config_path: str | None,
    overrides: tuple[str, ...],
    root: str | None,
    destination: str | None,
    as_json: bool,
) -> None:
    """List the released versions, newest first: when they were pushed, by which run, with which figures.

    The served version is the newest complete one, as TensorFlow Serving chooses. Folders that restem did not write are
    listed too. `restem models prune` removes old versions.
    """
    if context.invoked_subcommand is not None:
        if config_path or overrides or root or destination or as_json:
            raise click.UsageError("Give the options after the command, as in: restem models prune --keep 5")
        return
    import time

    from restem.pusher.registry import read_registry

    place = find_destination(config_path, overrides, root, destination)
    entries = read_registry(place, now=time.time())
    if as_json:
        print(json.dumps({"destination": place, "versions": [to_dict(entry) for entry in entries]}))
    else:
        _show(place, entries)


@models.command()
@destination_options
@click.option("--keep", type=int, required=True, metavar="N", help="How many versions stay, the served one included.")
@click.option("--yes", is_flag=True, help="Remove them. Without it, the command only says what would go.")
@json_option
def prune(
    config_path: str | None,
    overrides: tuple[str, ...],
    root: str | None,
    destination: str | None,
    keep: int,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove all but the N newest versions.

    The served version stays, and the one before it, and every version that was the newest one less than ten minutes
    ago: a server may still be loading it. Only folders that restem pushed are removed, and no links.
    """
    import time

    from restem.pusher.prune import plan
    from restem.pusher.prune import prune as remove
    from restem.pusher.registry import read_registry

    place = find_destination(config_path, overrides, root, destination)
    now = time.time()
    planned = plan(read_registry(place, now=now), keep, now=now)
    removed = remove(planned) if yes else ()
    if as_json:
        told = {
            "destination": place,
            "remove": [entry.number for entry in planned.remove],
            "bytes": planned.bytes,
            "kept": [{"version": entry.number, "reason": reason} for entry, reason in planned.kept],
            "removed": [entry.number for entry in removed],
        }
        print(json.dumps(told))
    else:
        _show_plan(place, planned, removed if yes else None)


@models.command()
@click.argument("version", type=int)
@destination_options
@click.option("--reason", default="", metavar="TEXT", help="Why, one line; shown by restem models and restem clean.")
def pin(
    version: int,
    config_path: str | None,
    overrides: tuple[str, ...],
    root: str | None,
    destination: str | None,
    reason: str,
) -> None:
    """Keep VERSION: neither prune nor clean removes it."""
    import time

    from restem.pusher import pins
    from restem.pusher.registry import find, read_registry

    place = find_destination(config_path, overrides, root, destination)
    find(read_registry(place, now=time.time()), version, place)
    pins.pin(place, version, " ".join(reason.split()))
    say(f"Version {version} is pinned.")


@models.command()
@click.argument("version", type=int)
@destination_options
def unpin(
    version: int, config_path: str | None, overrides: tuple[str, ...], root: str | None, destination: str | None
) -> None:
    """Let VERSION go as any other."""
    from restem.pusher import pins

    place = find_destination(config_path, overrides, root, destination)
    say(f"Version {version} is no longer pinned." if pins.unpin(place, version) else f"Version {version} has no pin.")


def to_dict(entry: "Entry") -> dict[str, Any]:
    """A version as values for --json."""
    from dataclasses import asdict

    release = entry.release
    return {
        "version": entry.number,
        "path": entry.path,
        "served": entry.served,
        "ours": entry.ours,
        "problem": entry.problem,
        "pushed_at": entry.pushed_at,
        "pipeline": (release and release.pipeline) or None,
        "run": release.run if release else None,
        "data": entry.data,
        "code": entry.code,
        "figures": release.figures if release else {},
        "reason": (release and release.reason) or None,
        "baseline": (release and release.baseline) or None,
        "origin": asdict(entry.origin) if entry.origin else None,
        "withdrawn": [asdict(each) for each in release.withdrawn] if release else [],
        "bytes": entry.bytes,
        "pinned": entry.pinned,
    }


def _show(place: str, entries: "list[Entry]") -> None:
    from rich.table import Table

    from restem.pipeline.commands.console import escape, plain_console, print_table

    console = plain_console(sys.stdout)
    console.print(escape(place))
    if not entries:
        console.print("There are no versions.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("version", "", "pushed", "run", "accuracy", "compared with", "data", "code", "size", "notes"):
        table.add_column(name, overflow="fold", justify="right" if name == "size" else "left")
    for entry in entries:
        release = entry.release
        table.add_row(
            str(entry.number),
            "[green]served[/green]" if entry.served else "",
            escape(entry.pushed_at or "unknown"),
            escape((release and release.run) or "–"),
            escape(accuracies(entry)),
            escape((release and release.baseline) or "–"),
            escape((entry.data or "–")[:8]),
            escape((entry.code or "–")[:8]),
            size_text(entry.bytes),
            escape("; ".join(_notes(entry))),
        )
    print_table(table, sys.stdout)
    listed = next((entry.release.withdrawn for entry in entries if entry.release), ())
    for each in listed:
        console.print(escape(f"The model of version {each.version} was rolled back ({each.at}): runs do not push it."))


def accuracies(entry: "Entry") -> str:
    """The accuracies at the approval: candidate and baseline."""
    figures = entry.release.figures if entry.release else {}
    found = [figures.get(role, {}).get("accuracy") for role in ("candidate", "baseline")]
    shown = ["–" if value is None else f"{value:.4f}" for value in found]
    return " against ".join(shown) if any(value is not None for value in found) else "–"


def _notes(entry: "Entry") -> list[str]:
    notes = []
    if entry.pinned is not None:
        notes.append(f"pinned{f': {entry.pinned}' if entry.pinned else ''}")
    if entry.origin:
        notes.append(f"rolled back from {entry.origin.replaced} to the model of {entry.origin.version}")
    if entry.problem:
        notes.append(entry.problem)
    return notes


def _show_plan(place: str, planned: "Plan", removed: "tuple[Entry, ...] | None") -> None:

    from restem.pipeline.commands.console import escape, plain_console

    console = plain_console(sys.stdout)
    if removed is not None:
        freed = size_text(sum(entry.bytes for entry in removed))
        console.print(escape(f"{place}: removed {_count(len(removed))}, {freed}"))
    else:
        console.print(escape(f"{place}: {_count(len(planned.remove))} would go, {size_text(planned.bytes)}"))
    for entry in planned.remove if removed is None else removed:
        console.print(escape(f"  {entry.number}  {entry.pushed_at or 'unknown'}  {size_text(entry.bytes)}"))
    for entry, reason in planned.kept:
        console.print(escape(f"  {entry.number} stays: {reason}"))
    if planned.remove and removed is None:
        console.print("Nothing was removed; --yes removes them.")


def _count(number: int) -> str:
    return f"{number} version{'' if number == 1 else 's'}"


def size_text(size: int) -> str:
    """A size in bytes for people: "94.3 MB"."""
    from rich.filesize import decimal

    return decimal(size)
