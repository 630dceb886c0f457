"""`restem pretrain`: trains a source checkpoint, for use without ImageNet's weights."""

import json
import os
import shlex
import sys
from pathlib import Path

import click

from restem.pipeline.commands.options import config_option, json_option, recompute_option, set_option
from restem.visible import say

SUFFIX = ".weights.h5"


@click.command()
@config_option
@set_option
@click.option("--out", required=True, metavar="FILE", help=f"The checkpoint to write, a {SUFFIX} file.")
@click.option("--root", metavar="DIR", help="The folder for the run and its cache. Default: runs/<name>.")
@recompute_option
@json_option
def pretrain(
    config_path: str, overrides: tuple[str, ...], out: str, root: str | None, recompute: bool, as_json: bool
) -> None:
    """Train a stock RGB ResNet from scratch on the training images that the section 'pretrain' sets.

    Then set model.weights to the path of the checkpoint.
    """
    from restem.errors import RestemError
    from restem.pipeline.commands.progress import follow
    from restem.pipeline.config import load_config
    from restem.pipeline.local.cluster import check_beam
    from restem.pipeline.local.folder import RunFolder
    from restem.pipeline.preflight import preflight

    if not out.endswith(SUFFIX):
        raise RestemError(
            "the checkpoint's name is wrong", where="--out", expected=f"a name ending in {SUFFIX}", given=out
        )
    config = load_config(config_path, overrides)
    preflight(config, pretrain=True)
    for warning in check_beam(config):
        say(f"restem: {warning}", file=sys.stderr)
    path = Path(os.path.expanduser(out)).resolve()
    folder = RunFolder.of(config, root)
    last, _ = follow("restem.pipeline.local.tasks:pretrain", config, folder, {"out": str(path), "recompute": recompute})
    if as_json:
        print(json.dumps({"checkpoint": str(path), "accuracy": last["accuracy"], "loss": last["loss"]}))
    else:
        say(f"{path}: {config.model.backbone}, accuracy {last['accuracy']:.3f} on its training images", flush=True)
        say(f"Use it with: --set {shlex.quote(f'model.weights={path}')}", file=sys.stderr)
