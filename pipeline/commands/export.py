"""`restem export`: a pushed model in another format."""

import json
from pathlib import Path

import click

from restem.convert import ENDINGS, FORMATS, INT8
from restem.pipeline.commands.options import json_option
from restem.visible import say


@click.command()
@click.argument("model_dir", metavar="MODEL_DIR")
@click.option("--to", "kind", type=click.Choice(FORMATS), required=True, help="The format.")
@click.option("--int8", is_flag=True, help="With tflite: weights and activations of 8 bits, fitted on training images.")
@click.option("--out", metavar="FILE", help="The file to write. Default: the version's number, in the current folder.")
@click.option("--images", metavar="PATH", help="The run's images, if they are no longer where the run found them.")
@json_option
def export(model_dir: str, kind: str, int8: bool, out: str | None, images: str | None, as_json: bool) -> int:
    """Convert the model in MODEL_DIR, and compare the result with it on the test images.

    MODEL_DIR is the folder of one version, or of all versions: then the newest is used. The converted model takes pixel
    values, as the model's own preprocessing makes them, and returns probabilities.
    """
    from restem.errors import RestemError
    from restem.evaluator.figures import count, percent, points
    from restem.pipeline.local.found_model import find_model
    from restem.pipeline.local.worker import run_in_worker
    from restem.pusher.reading import reading
    from restem.report.formatting import size
    from restem.storage import is_remote

    if int8 and kind not in INT8:
        raise RestemError(
            "this format has no 8 bits here", where="--int8", expected=f"--to {' or '.join(INT8)}", given=f"--to {kind}"
        )
    model = find_model(model_dir).path
    target = Path(out or f"{model.name}{'-int8' if int8 else ''}{ENDINGS[kind]}").resolve()
    if target.suffix != ENDINGS[kind]:
        raise RestemError(f"the file for {kind} needs the ending {ENDINGS[kind]}", where="--out", given=str(target))
    if target.exists():
        raise RestemError("the file exists already", where="--out", given=str(target), remedy="Name another file")
    if not target.parent.is_dir():
        raise RestemError("there is no such folder", where="--out", given=str(target.parent))
    request = {"model": str(model), "kind": kind, "out": str(target), "int8": int8, "images": images}
    # Images in a bucket cannot be read without credentials.
    remote = is_remote(images or _path_of_images(model))
    with reading(str(model)):
        found = run_in_worker("restem.pipeline.local.tasks:convert", request, runs_model=not remote)
    if as_json:
        print(json.dumps(found))
        return 0
    before, now, (difference, low, high) = found["accuracy_before"], found["accuracy"], found["difference"]
    say(f"written    {found['path']} ({size(found['size'])}; the pushed model {size(found['size_before'])})")
    say(f"accuracy   {percent(now)}, the pushed model {percent(before)}, on {count(found['images'])} test images")
    say(f"difference {points(difference)} ({points(low)} to {points(high)}, each end with 95% confidence)")
    say(f"answers    {count(found['other_answers'])} differ; largest difference of a probability "
          f"{found['largest_difference']:.2g}")  # fmt: skip
    return 0


def _path_of_images(model: Path) -> str:
    """Where the run found its images; empty if the model's record does not say it."""
    from restem.record_files import DamagedRecord
    from restem.run_record import EXTRA, read_model

    try:
        path = read_model(f"{model}/{EXTRA}").config["data"]["path"]
    except (DamagedRecord, OSError, KeyError, TypeError):
        return ""
    return path if isinstance(path, str) else ""
