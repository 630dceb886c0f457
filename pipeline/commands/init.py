"""`restem init`: proposes a configuration for a set of images."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click


@click.command()
@click.argument("data", metavar="DIR|MANIFEST|TFRECORD")
@click.option("--out", metavar="FILE", help="The file to write. Default: standard output.")
@click.option(
    "--folders",
    metavar="PATTERN",
    help="What the folders are, from the top, if their names leave two readings: class, split/class, class/split ...",
)
@click.option("--include", metavar="PATTERN", multiple=True, help="Use only images whose path matches, as '*.jpg'.")
@click.option("--exclude", metavar="PATTERN", multiple=True, help="Leave out images whose path matches.")
@click.option("--follow-links", is_flag=True, help="Follow symbolic links out of DIR.")
def init(
    data: str,
    out: str | None,
    folders: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    follow_links: bool,
) -> None:
    """Look at images and write a configuration that is ready to run, with a reason for each value.

    DIR has one folder per class, or train/ and test/ (in any case, Training/ and Testing/ as well) with one folder per
    class in each, or TFRecord files. MANIFEST is
    a table (.csv, .tsv, .parquet) with one row per image. TFRECORD is a file of tf.Examples, or a quoted pattern.
    """
    from restem.errors import RestemError
    from restem.pipeline.datasets.proposal import BACKBONE, propose
    from restem.pipeline.imagenet import why_not_available

    path = Path(out).expanduser() if out else None
    if path is not None and path.exists() and (path.is_dir() or path.stat().st_size):
        remedy = "Choose another name, or remove it first"
        raise RestemError("this already exists and is not overwritten", where=f"--out {path}", remedy=remedy)
    decided = {"folders": folders, "include": include, "exclude": exclude, "follow_links": follow_links}
    given = {key: value for key, value in decided.items() if value}
    text = propose(os.path.expanduser(data), path, reason=why_not_available(BACKBONE), measure=_measure, given=given)
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
