"""`restem checkpoint`: says what a weights file holds."""

import json
import os
from pathlib import Path

import click

from restem.pipeline.commands.options import json_option
from restem.visible import say


@click.command()
@click.argument("file", metavar="FILE")
@json_option
def checkpoint(file: str, as_json: bool) -> None:
    """Say what a weights file holds, what would be taken of it, and what must be assumed or said.

    Nothing in the file is executed, and nothing is written. Neither Keras nor TensorFlow is loaded.
    """
    from restem.stem.checkpoint.examine import examine
    from restem.stem.checkpoint.summary import to_dict, to_text
    from restem.stem.checkpoint.values import check_values

    found = examine(Path(os.path.expanduser(file)))
    check_values(found)
    say(json.dumps(to_dict(found)) if as_json else to_text(found), flush=True)
