"""`restem compare`: several runs side by side."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from restem.pipeline.commands.options import json_option
from restem.visible import say

MOST = 12  # columns that a page can show


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="RUN...")
@click.option("--out", metavar="FILE", help="Also write the comparison with learning curves as an HTML page.")
@json_option
def compare(names: tuple[str, ...], out: str | None, as_json: bool) -> None:
    """Compare the candidates of several RUNs: figures with intervals, and the settings that differ.

    RUN is the folder of a run (--root): its newest finished run; FOLDER@START names an older one, e.g.
    runs/digits@2026-11-26T18. With a single folder its newest runs are compared. The first run is what the others are
    compared with.
    """
    from rich.table import Table

    from restem.evaluator.figures import NOTHING, percent, points
    from restem.pipeline.commands.console import escape, print_table
    from restem.pipeline.local.past_runs import find_runs, labels, read_compared
    from restem.report.comparison import page, text

    found = find_runs(names[0])[-MOST:] if len(names) == 1 else [find_runs(name)[-1] for name in names]
    comparison = page(
        [read_compared(*each) for each in zip(found, labels(found), strict=True)], Path(out) if out else None
    )
    if as_json:
        rows = [asdict(row) for row in comparison.rows]
        print(json.dumps({"runs": rows, "settings": dict(comparison.settings), "page": out}))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("run", "verdict", "test images", "accuracy", "difference from the first"):
        table.add_column(name, overflow="fold")
    for row in comparison.rows:
        accuracy = f"{percent(row.accuracy.value)} ({percent(row.accuracy.low)} to {percent(row.accuracy.high)})"
        gap = row.difference
        difference = f"{points(gap.value)} ({points(gap.low)} to {points(gap.high)})" if gap else NOTHING
        verdict = "approved" if row.blessed else "not approved"
        table.add_row(escape(row.name), verdict, f"{row.images:,}", accuracy, difference)
    print_table(table, sys.stdout)
    if comparison.other_images:
        say(f"Other test images than the first run's: {', '.join(comparison.other_images)}")
    if comparison.settings:
        settings = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for name in ("setting", *(row.name for row in comparison.rows)):
            settings.add_column(escape(name), overflow="fold")
        for key, values in comparison.settings.items():
            settings.add_row(key, *(escape(text(value)) for value in values))
        print_table(settings, sys.stdout)
    else:
        say("No recorded setting of training or evaluation differs: if the results do, the data or the code does.")
    if out:
        say(f"Page: {out}")
