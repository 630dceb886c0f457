"""`restem run`: runs the whole pipeline on this machine."""

import json
import sys

import click

from restem.pipeline.commands.options import config_option, json_option, recompute_option, set_option
from restem.visible import say


@click.command()
@config_option
@set_option
@click.option("--root", metavar="DIR", help="The run's folder: cache, logs, models. Default: runs/<name>.")
@recompute_option
@json_option
def run(config_path: str, overrides: tuple[str, ...], root: str | None, recompute: bool, as_json: bool) -> None:
    """Run the pipeline: train a model on images, evaluate it, and push it if it is approved.

    Steps whose inputs have not changed come from the cache. A model that is not approved is a normal result: the exit
    code is 0.
    """
    from restem.pipeline.commands.console import print_summary
    from restem.pipeline.commands.progress import follow
    from restem.pipeline.config import load_config
    from restem.pipeline.local.cluster import check_beam
    from restem.pipeline.local.folder import RunFolder
    from restem.pipeline.local.notification import notifying
    from restem.pipeline.preflight import preflight

    config = load_config(config_path, overrides)
    folder = RunFolder.of(config, root)
    with notifying(config, str(folder.root)) as tell:
        for warning in (*preflight(config, root=folder.root), *check_beam(config)):
            say(f"restem: {warning}", file=sys.stderr)
        task = "restem.pipeline.local.tasks:run_pipeline"
        summary, learned = follow(task, config, folder, {"recompute": recompute})
        summary |= learned
    tell(lambda: summary)
    # With --json, standard output has only the JSON line.
    print_summary(summary, sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps(summary), flush=True)
