"""`restem clean`: removes what no kept run and no released version needs."""

import json
import sys
from typing import TYPE_CHECKING

import click

from restem.pipeline.commands.options import config_option, json_option, set_option
from restem.visible import say

if TYPE_CHECKING:
    from restem.pipeline.local.clean import Cleaned, CleanPlan


@click.command()
@config_option
@set_option
@click.option("--root", metavar="DIR", help="The run's folder. Default: runs/<name>.")
@click.option("--yes", is_flag=True, help="Remove it. Without it, the command only says what would go.")
@json_option
def clean(config_path: str, overrides: tuple[str, ...], root: str | None, yes: bool, as_json: bool) -> None:
    """Remove the results of old runs, and old released versions, as the section `retention` says.

    A result stays if a kept run made it, read it or took it from the cache. Of a released version's run the report, the
    verdict and the records of the training stay. A version stays if it is among the newest, served, pinned (restem
    models pin) or being read. Without a section `retention` everything stays.
    """
    import time

    from restem.errors import RestemError
    from restem.pipeline.config import load_config
    from restem.pipeline.local.clean import clean as remove
    from restem.pipeline.local.clean import plan_clean
    from restem.pipeline.local.folder import RunFolder

    config = load_config(config_path, overrides)
    folder = RunFolder.of(config, root)
    if not folder.root.is_dir():
        raise RestemError(
            "there is no such run's folder",
            where=str(folder.root),
            expected="the --root of restem run",
            remedy="Without --root, a run is in runs/<name of the configuration>",
        )
    with folder.locked():
        planned = plan_clean(config, folder, now=time.time())
        done = remove(config, folder, now=time.time()) if yes else None
    if as_json:
        print(json.dumps(_to_dict(str(folder.root), planned, done)), flush=True)
    else:
        _show(str(folder.root), planned, done)
        if not config.retention.wanted:
            say(
                "There is no section retention: everything stays. "
                "To see what would go: --set retention.runs=10 --set retention.versions=5"
            )
    if done is not None and done.problems:
        sys.exit(1)


def _to_dict(root: str, planned: "CleanPlan", done: "Cleaned | None") -> dict:
    from dataclasses import asdict

    return {
        "root": root,
        "remove": [asdict(item) for item in planned.remove],
        "bytes": planned.bytes,
        "kept": [asdict(item) for item in planned.kept],
        "runs": [{"start": start, "reason": reason} for start, reason in planned.runs.items()],
        **({"removed": [], "freed": 0, "problems": []} if done is None else _done(done)),
    }


def _done(done: "Cleaned") -> dict:
    told = done.to_dict()
    return {"removed": told["removed"], "freed": told["bytes"], "problems": told["problems"]}


def _show(root: str, planned: "CleanPlan", done: "Cleaned | None") -> None:
    from restem.pipeline.commands.console import escape, plain_console
    from restem.pipeline.commands.models import size_text
    from restem.pipeline.local.clean import summary

    console = plain_console(sys.stdout)
    goes = planned.remove if done is None else done.removed
    console.print(escape(f"{root}: {summary(goes)} {'would go' if done is None else 'removed'}"))
    for item in goes:
        if item.bytes or item.kind == "version":
            console.print(escape(f"  {size_text(item.bytes):>9}  {_near(item.path, root)}: {item.reason}"))
    stays = sum(item.bytes for item in planned.kept)
    console.print(escape(f"{size_text(stays)} stay:"))
    for start, reason in planned.runs.items():
        console.print(escape(f"  run {start[:19]}: {reason}"))
    for item in planned.kept:
        if item.kind == "version":
            console.print(escape(f"  {size_text(item.bytes):>9}  {_near(item.path, root)}: {item.reason}"))
    others: dict[str, int] = {}
    for item in planned.kept:
        if item.kind == "result" and not item.reason.startswith("the run "):
            others[item.reason] = others.get(item.reason, 0) + item.bytes
    for reason, size in others.items():
        console.print(escape(f"  {size_text(size):>9}  {reason}"))
    for problem in done.problems if done else ():
        console.print(escape(f"  {problem}"))
    if planned.remove and done is None:
        console.print("Nothing was removed; --yes removes it.")


def _near(path: str, root: str) -> str:
    return path.removeprefix(f"{root}/")
