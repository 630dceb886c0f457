"""`restem report`: opens the report of a run, or writes it again."""

import json
import os
import sys
from pathlib import Path

import click

from restem.pipeline.commands.options import json_option
from restem.visible import say


@click.command()
@click.argument("name", metavar="RUN")
@click.option("--rebuild", is_flag=True, help="Write the page again, with this version of restem.")
@click.option("--out", metavar="FILE", help="Where to write it. Default: report-<start>.html in the run's folder.")
@json_option
def report(name: str, rebuild: bool, out: str | None, as_json: bool) -> None:
    """Open the report of a RUN in the browser, and print its path.

    RUN is the folder of a run (--root): its newest finished run; FOLDER@START names an older one, e.g.
    runs/digits@2026-11-26T18. If the page is gone, it is written again from the run's results. Without a terminal only
    the path is printed.
    """
    from restem.pipeline.local.past_runs import find_runs, report_inputs
    from restem.pipeline.local.summary import find_report
    from restem.pipeline.local.worker import run_in_worker
    from restem.run_record import read_model

    run = find_runs(name)[-1]
    folder = run.outputs.get("Report", {}).get("report")
    page = find_report(folder) if folder else None
    if rebuild or out or page is None:
        uris = report_inputs(run)
        default = run.root / f"report-{run.start[:19].replace(':', '')}.html"
        page = str(Path(os.path.expanduser(out or default)).resolve())
        title = read_model(uris["candidate_run"]).config["name"]
        run_in_worker("restem.pipeline.local.tasks:write_report", {"title": title, "uris": uris, "out": page})
    if as_json:
        print(json.dumps({"run": run.name, "report": page}))
        return
    say(page)
    if sys.stdout.isatty():
        click.launch(page)
