"""`restem doctor`: checks this machine."""

import json
import sys
from pathlib import Path

import click

from restem.pipeline.commands.options import json_option

TITLES = {"pipeline": "The pipeline", "devices": "Devices", "kubeflow": "Kubeflow", "flink": "Apache Flink"}


@click.command()
@click.option("--deep", is_flag=True, help="Also ask TensorFlow which devices it sees (ten seconds).")
@json_option
def doctor(deep: bool, as_json: bool) -> int:
    """Show what is installed, what is missing, and how to fix it.

    The exit code is 0 if the pipeline itself can run, even if something else is missing.
    """
    from restem.pipeline.commands.console import escape, plain_console
    from restem.pipeline.environment.doctor import can_run, examine

    findings = examine(Path.cwd() / "runs", deep=deep)
    able = can_run(findings)
    if as_json:
        print(json.dumps({"can_run": able, "findings": [finding.to_dict() for finding in findings]}))
        return 0 if able else 1
    console = plain_console(sys.stdout)
    for group, title in TITLES.items():
        console.print(f"[bold]{title}[/bold]")
        for finding in findings:
            if finding.group == group:
                mark = "[green]ok[/green]     " if finding.ok else "[yellow]missing[/yellow]"
                console.print(f"  {mark} {finding.name:<22} {escape(finding.value)}")
                if finding.remedy:
                    console.print(f"          {escape(finding.remedy)}")
    console.print("The pipeline can run here." if able else "[red]The pipeline cannot run here yet.[/red]")
    return 0 if able else 1
