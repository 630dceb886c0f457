"""`restem init`: proposes a configuration for a set of images."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click


@click.command()
@click.argument("data", metavar="DIR|MANIFEST|TFRECORD")
@click.option("--out", metavar="FILE", help="The file to write. Default: standard output.")
def init(data: str, out: str | None) -> None:
    """Look at images and write a configuration that is ready to run, with a reason for each value.

    DIR has one folder per class, or train/ and test/ with one folder per class in each, or TFRecord files. MANIFEST is
    a table (.csv, .tsv, .parquet) with one row per image. TFRECORD is a file of tf.Examples, or a quoted pattern.
    """
    from restem.errors import RestemError
    from restem.pipeline.datasets.proposal import BACKBONE, propose
    from restem.pipeline.imagenet import why_not_available

    path = Path(out).expanduser() if out else None
    if path is not None and path.exists() and (path.is_dir() or path.stat().st_size):
        remedy = "Choose another name, or remove it first"
        raise RestemError("this already exists and is not overwritten", where=f"--out {path}", remedy=remedy)
    text = propose(os.path.expanduser(data), path, reason=why_not_available(BACKBONE), measure=_measure)
    if path is None:
        print(text, end="")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    look = f"restem inspect --config {path} --contact-sheet {path.with_suffix('.png')}"
    print(f"Wrote {path}. Next: {look}", file=sys.stderr)
    print(f"Look at that picture: it shows what the model sees. Then: restem run --config {path}", file=sys.stderr)


def _measure(sizes: Sequence[tuple[int, int]]) -> list[float]:
    from restem.pipeline.datasets.proposal import BACKBONE
    from restem.pipeline.local.worker import run_in_worker

    print("ImageNet's weights cannot be had here: measuring how fast this machine trains ...", file=sys.stderr)
    request = {"backbone": BACKBONE, "sizes": [list(size) for size in sizes]}
    return run_in_worker("restem.pipeline.local.tasks:seconds_per_image", request)
