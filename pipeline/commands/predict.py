"""`restem predict`: classifies images with a pushed model."""

import json
import sys
from pathlib import Path

import click

from restem.pipeline.commands.options import json_option

BATCH_SIZE = 32


@click.command()
@click.argument("model_dir", metavar="MODEL_DIR")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@json_option
def predict(model_dir: str, images: tuple[str, ...], as_json: bool) -> int:
    """Classify IMAGEs with the model in MODEL_DIR.

    MODEL_DIR is the folder of one version, or of all versions: then the newest is used. The exit code is 1 if an image
    cannot be read.
    """
    from rich.markup import escape
    from rich.table import Table

    from restem.errors import RestemError
    from restem.pipeline.commands.console import print_table
    from restem.pipeline.local.worker import run_in_worker

    model = saved_model_folder(Path(model_dir))
    for image in images:
        if not Path(image).is_file():
            raise RestemError("there is no such image file", where=image)
    request = {"model": str(model), "images": list(images), "batch_size": BATCH_SIZE}
    results = run_in_worker("restem.pipeline.local.tasks:predict", request)
    failed = [result for result in results if "error" in result]
    if as_json:
        print(json.dumps({"model": str(model), "predictions": results}))
        return 1 if failed else 0
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("image", "label", "probabilities"):
        table.add_column(name, overflow="fold")
    for result in results:
        if "error" in result:
            table.add_row(escape(result["path"]), "[red]unreadable[/red]", escape(result["error"]))
        else:
            scores = ", ".join(f"{name} {score:.3f}" for name, score in result["scores"].items())
            table.add_row(escape(result["path"]), escape(result["label"]), escape(scores))
    print_table(table, sys.stdout)
    return 1 if failed else 0


def saved_model_folder(folder: Path) -> Path:
    """`folder` itself, or the newest version in it.

    Raises:
        RestemError: neither is a SavedModel.
    """
    from restem.errors import RestemError
    from restem.files import exists
    from restem.model_files import SAVED_MODEL
    from restem.pusher.versions import newest

    found, _ = newest(str(folder), lambda path: None if exists(f"{path}/{SAVED_MODEL}") else "no model")
    if found is not None:
        return Path(found).resolve()
    raise RestemError(
        "there is no pushed model",
        where=str(folder),
        expected="a folder with saved_model.pb, or with versions such as 1700000000/saved_model.pb",
        given="a folder without them" if folder.is_dir() else "a folder that does not exist",
        remedy="The summary of restem run shows the folder of the pushed model",
    )
