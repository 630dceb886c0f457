"""`restem compile`: compiles the pipeline to a file for Kubeflow Pipelines."""

import os
import shlex
import sys
from pathlib import Path

import click

from restem.pipeline.commands.options import config_option, set_option
from restem.visible import say

SUFFIXES = (".yaml", ".yml")


@click.command()
@config_option
@set_option
@click.option("--out", required=True, metavar="FILE.yaml", help="The file to write.")
def compile(config_path: str, overrides: tuple[str, ...], out: str) -> None:
    """Compile the pipeline for Kubeflow Pipelines v2. Needs no cluster and no network.

    The same configuration and code give the same bytes.
    """
    from restem.errors import RestemError
    from restem.pipeline.commands.compiling import compile_config
    from restem.pipeline.config import load_config

    path = Path(os.path.expanduser(out))
    if path.suffix not in SUFFIXES:
        # Kubeflow expects another format in a .json file, and rejects it.
        raise RestemError("the file's name is wrong", where="--out", expected="a name ending in .yaml", given=out)
    text = compile_config(load_config(config_path, overrides))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    say(f"Wrote {path}. Next: restem kubeflow upload --config {shlex.quote(config_path)}", file=sys.stderr)
