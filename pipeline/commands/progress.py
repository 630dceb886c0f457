"""Runs a pipeline in a worker and shows its progress on the console, for `run` and `pretrain`."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from restem.pipeline.commands.console import RunConsole
from restem.pipeline.config import Config
from restem.pipeline.errors import Interrupted, WorkFailed
from restem.pipeline.local.database import check_database
from restem.pipeline.local.folder import RunFolder
from restem.pipeline.local.worker import run_worker


def follow(
    target: str, config: Config, folder: RunFolder, request: dict[str, Any] | None = None
) -> tuple[Any, dict[str, Any]]:
    """Locks the run's folder, runs the work, and shows its steps and messages on standard error.

    Returns:
        The result of the work, and from the console: `seconds` by step, `cached` steps, `root` and `log`.

    Raises:
        RootTaken: another run is using the folder.
        RestemError: the folder's metadata database is damaged.
        WorkFailed: with the step and the log.
        Interrupted: by a signal; the message lists the finished steps and the command to continue.
    """
    with folder.locked() as lock:
        warning = check_database(folder.root)
        log = folder.new_log()
        console = RunConsole(sys.stderr)
        console.say(f"restem: {config.name} in {folder.root}, log {log}")
        if warning:
            console.say(f"restem: {warning}")
        request = {"config": config.model_dump_json(), "root": str(folder.root), **(request or {})}
        try:
            with console:
                result = run_worker(target, request, log=log, on_event=console.on_event, inherit=(lock,))
        except Interrupted as interrupt:
            raise Interrupted(interrupt.signum, how_to_continue(console.current, console.finished)) from None
        except WorkFailed as failure:
            raise WorkFailed(str(failure), where=None if console.current in str(failure) else console.current) from None
    learned = {"seconds": console.seconds, "cached": console.cached, "root": str(folder.root), "log": str(log)}
    return result, learned


def how_to_continue(current: str, finished: list[str]) -> str:
    """The message of an interrupted run."""
    done = f"finished and kept: {', '.join(finished)}" if finished else "no step was finished"
    return f"during {current}; {done}. Continue with: {this_command()}"


def this_command() -> str:
    """The command as the user typed it, as plain `restem` if that is on the PATH."""
    called = sys.argv[0]
    found = shutil.which("restem")
    if Path(called).suffix == ".py":
        called = f"{shlex.quote(sys.executable)} -m restem"
    elif found and Path(found).resolve() == Path(called).resolve():
        called = "restem"
    return " ".join([called, shlex.join(sys.argv[1:])])
