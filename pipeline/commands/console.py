"""What the person at the terminal sees of a run: its steps and progress, and at the end the result."""

import time
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

START_UP = "start-up"
WIDE = 400  # columns
Event = dict[str, Any]


class RunConsole:
    """Follows a run's events. On a terminal the step at work is shown with its time; elsewhere plain lines.

    Attributes:
        finished: the steps that are through, in order.
        seconds: by step.
        cached: the steps that came from the cache.
        current: the step at work.
    """

    def __init__(self, stream: TextIO) -> None:
        self.console = Console(file=stream, highlight=False, soft_wrap=True)
        self.finished: list[str] = []
        self.seconds: dict[str, float] = {}
        self.cached: list[str] = []
        self.current: str = START_UP
        self._start = time.monotonic()
        self._progress: Progress | None = None

    def __enter__(self) -> "RunConsole":
        if self.console.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._progress = Progress(*columns, console=self.console, transient=True)
            self._progress.start()
        self._show("starting: TensorFlow, Beam and TFX are loaded")
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress:
            self._progress.stop()

    def say(self, text: str) -> None:
        """One line, as it is."""
        self.console.print(escape(text))

    def on_event(self, event: Event) -> None:
        """What run_worker hands on: "step" and "log" events."""
        if event["event"] == "log":
            self.say(f"    {event['message']}")
        elif event["event"] == "step":
            if self.current == START_UP:
                self.seconds[START_UP] = time.monotonic() - self._start
            if event["state"] == "started":
                self._begin(event["step"])
            else:
                self._end(event["step"], event["seconds"], from_cache=event["state"] == "cached")

    def _begin(self, step: str) -> None:
        self.current = step
        self._show(step)

    def _end(self, step: str, seconds: float, from_cache: bool) -> None:
        self.finished.append(step)
        self.seconds[step] = seconds
        if from_cache:
            self.cached.append(step)
        self.say(f"  {step:<18} {'from the cache' if from_cache else f'done in {seconds:.1f} s'}")

    def _show(self, text: str) -> None:
        if self._progress is None:
            self.say(f"  {text} ...")
            return
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._progress.add_task(escape(text), total=None)


def plain_console(stream: TextIO) -> Console:
    """A console for results: where it is not a terminal (a file, a pipe), lines are not broken at 80 columns."""
    return Console(file=stream, highlight=False, width=None if stream.isatty() else WIDE)


def print_table(table: Table, stream: TextIO) -> None:
    """A table without the spaces that rich fills its lines with, where it goes to a file or a pipe."""
    console = plain_console(stream)
    with console.capture() as capture:
        console.print(table)
    stream.write("".join(line.rstrip() + "\n" for line in capture.get().splitlines()))
    stream.flush()


def print_summary(summary: dict[str, Any], stream: TextIO) -> None:
    """The result as a table: `summary` is the object of `--json`."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for role in ("candidate", "baseline"):
        metrics = summary["metrics"].get(role, {})
        table.add_row(role, escape(", ".join(f"{name} {_figure(value)}" for name, value in metrics.items())))
    table.add_row("compared with", escape(_compared_with(summary["baseline"])))
    table.add_row("verdict", "[green]approved[/green]" if summary["blessed"] else "[yellow]not approved[/yellow]")
    table.add_row("why", escape(summary["reason"]))
    table.add_row("pushed to", escape(str(summary["pushed_to"] or "nowhere: only an approved model is pushed")))
    if summary["quarantined"]:
        shown = [f"{item['path']}{in_brackets(item['bytes'])}: {item['reason']}" for item in summary["quarantine"][:5]]
        more = summary["quarantined"] - len(shown)
        shown += [f"and {more} more"] if more > 0 else []
        table.add_row("quarantined", escape("\n".join([f"{summary['quarantined']} files", *shown])))
    else:
        table.add_row("quarantined", "no file")
    steps = (
        f"{step} {'from the cache' if step in summary['cached'] else f'{seconds:.1f}'}"
        for step, seconds in summary["seconds"].items()
    )
    table.add_row("seconds", escape(", ".join(steps)))
    table.add_row("report", escape(_near(summary["report"])))
    table.add_row("log", escape(_near(summary["log"])))
    print_table(table, stream)


def _compared_with(baseline: dict[str, Any]) -> str:
    lines = ["the stock network"]
    if baseline["path"]:
        approved = f"the approved version {baseline['version']}"
        lines = [f"{approved if baseline['kind'] == 'latest_approved' else 'the given model'} ({baseline['path']})"]
    lines += [f"version {entry['version']} is skipped: {entry['reason']}" for entry in baseline["skipped"]]
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    if value is None:
        return "not a number"
    return f"{value:.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4f}"


def _near(path: str | None) -> str:
    """A path under the current folder as the reader would type it."""
    if path is None:
        return "none"
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def in_brackets(size: int) -> str:
    """A file's size in bytes behind its name; nothing where it is not known (-1)."""
    return f" ({size:,} bytes)" if size >= 0 else ""
