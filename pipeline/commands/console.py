"""The console output of a run: its steps and progress, and the result at the end."""

import json
import time
from pathlib import Path
from typing import Any, TextIO

from rich import markup
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from restem.example_gen.dataset import first_few
from restem.visible import visible_lines

START_UP = "start-up"
EXPENSIVE = 1.5  # times the baseline's operations: from there on the summary names it
WIDE = 400  # columns
# Of the figures in the summary; the report and --json have all.
METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "loss", "images")
Event = dict[str, Any]


class RunConsole:
    """Shows a run's events: on a terminal the current step with its elapsed time, elsewhere plain lines.

    Attributes:
        finished: the finished steps, in order.
        seconds: the duration of each step.
        cached: the steps that came from the cache.
        current: the current step.
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
        self._show("starting: loading TensorFlow, Beam and TFX")
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress:
            self._progress.stop()

    def say(self, text: str) -> None:
        """Prints one line without interpreting markup."""
        self.console.print(escape(text))

    def on_event(self, event: Event) -> None:
        """Handles the "step" and "log" events of run_worker."""
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


def escape(text: str) -> str:
    """Text for a console: neither rich's markup nor control characters in it have an effect."""
    return markup.escape(visible_lines(text))


def plain_console(stream: TextIO) -> Console:
    """A console for results; in a file or a pipe, lines do not break at 80 columns."""
    return Console(file=stream, highlight=False, width=None if stream.isatty() else WIDE)


def print_table(table: Table, stream: TextIO) -> None:
    """Prints a table without the trailing spaces that rich adds to its lines."""
    console = plain_console(stream)
    with console.capture() as capture:
        console.print(table)
    stream.write("".join(line.rstrip() + "\n" for line in capture.get().splitlines()))
    stream.flush()


def print_summary(summary: dict[str, Any], stream: TextIO) -> None:
    """Prints the result as a table; `summary` is the object of `--json`."""
    from restem.report.seeds import one_line  # loads NumPy, which `restem --help` does not need

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for role in ("candidate", "baseline"):
        metrics = summary["metrics"].get(role, {})
        table.add_row(
            role, escape(", ".join(f"{name} {_figure(metrics[name])}" for name in METRICS if name in metrics))
        )
    if (summary.get("source") or {}).get("warning"):
        table.add_row("[yellow]warning[/yellow]", escape(summary["source"]["warning"]))
    if summary["start"]:
        table.add_row("start", escape(summary["start"]["told"]))
    if summary["seeds"]:
        table.add_row("seeds", escape(one_line(summary["seeds"])))
    largest = summary["largest_class"]
    table.add_row("largest class", escape(f"{largest['name']}: always predicting it gives {largest['share']:.4f}"))
    for role, names in summary["never_predicted"].items():
        only = summary["only_predicted"][role]
        if names:
            told = f"never predicts {first_few(names)}" if only is None else f"predicts {only} for every test image"
            table.add_row("[yellow]warning[/yellow]", escape(f"the {role} {told}"))
    for note in summary.get("data_notes", []):
        table.add_row("[yellow]data[/yellow]", escape(note))
    if (summary["cost"]["operations_ratio"] or 0) > EXPENSIVE:
        table.add_row("cost", escape(summary["cost"]["sentence"]))
    if "tuned" in summary:
        table.add_row("tuned", escape(_tuned(summary["tuned"])))
    table.add_row("compared with", escape(_compared_with(summary["baseline"])))
    table.add_row("verdict", "[green]approved[/green]" if summary["blessed"] else "[yellow]not approved[/yellow]")
    for one in summary["requirements"]:
        table.add_row("[green]met[/green]" if one["passed"] else "[yellow]not met[/yellow]", escape(_requirement(one)))
    table.add_row("reason", escape(summary["reason"]))
    why_not = f"not pushed: {summary['not_pushed'] or 'only an approved model is pushed'}"
    table.add_row("pushed to", escape(str(summary["pushed_to"] or why_not)))
    if summary["quarantined"]:
        shown = [f"{item['path']}{in_brackets(item['bytes'])}: {item['reason']}" for item in summary["quarantine"][:5]]
        more = summary["quarantined"] - len(shown)
        shown += [f"and {more} more"] if more > 0 else []
        table.add_row("quarantined", escape("\n".join([f"{summary['quarantined']} files", *shown])))
    else:
        table.add_row("quarantined", "none")
    steps = (
        f"{step} {'from the cache' if step in summary['cached'] else f'{seconds:.1f}'}"
        for step, seconds in summary["seconds"].items()
    )
    table.add_row("seconds", escape(", ".join(steps)))
    table.add_row("report", escape(_near(summary["report"])))
    if summary["tensorboard"]:
        table.add_row("tensorboard", escape(summary["tensorboard"]))
    table.add_row("log", escape(_near(summary["log"])))
    print_table(table, stream)


def _requirement(one: dict[str, Any]) -> str:
    return f"{one['required']}: {one['measured']}.{' ' if one['note'] else ''}{one['note']}"


def _tuned(tuned: dict[str, Any]) -> str:
    values = ", ".join(f"{key} {_plain(value)}" for key, value in tuned["values"].items())
    compared = tuned["trials"] - tuned["failed"]
    figure = f"{tuned['metric']} {_figure(tuned['value'])} on the validation images"
    return f"{values}\n{figure}, which is optimistic: the best of {compared} trials"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


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
    """A path relative to the current folder if it is inside it."""
    if path is None:
        return "none"
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def in_brackets(size: int) -> str:
    """A file's size in bytes, to append to its name; empty if the size is unknown (-1)."""
    return f" ({size:,} bytes)" if size >= 0 else ""
