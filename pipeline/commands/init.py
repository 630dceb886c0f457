"""`restem init`: a configuration for a folder of images."""

import sys
from pathlib import Path

import click


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--out", metavar="FILE", help="Where to write it. Default: standard output.")
def init(directory: str, out: str | None) -> None:
    """Look at the images in DIR and write a configuration that runs, each value with its reason.

    DIR has a folder a class, or train/ and test/ with a folder a class in each.
    """
    from components.errors import RestemError
    from pipeline.proposal import propose

    path = Path(out).expanduser() if out else None
    if path is not None and path.exists() and (path.is_dir() or path.stat().st_size):
        remedy = "Choose another name, or remove it first"
        raise RestemError("this already exists and is not overwritten", where=f"--out {path}", remedy=remedy)
    text = propose(Path(directory).expanduser(), path)
    if path is None:
        print(text, end="")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"{path} is written. Next: restem inspect --config {path}, then restem run --config {path}", file=sys.stderr)
