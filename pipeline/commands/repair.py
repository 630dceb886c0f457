"""`restem repair`: sets a damaged metadata database aside."""

import os
import sys

import click

from restem.visible import say


@click.command()
@click.option("--root", required=True, metavar="DIR", help="The run's folder, as for restem run.")
@click.option("--yes", is_flag=True, help="Also if the database is not damaged.")
def repair(root: str, yes: bool) -> None:
    """Set the metadata database of DIR aside, so that the next run starts a new one.

    The old file is kept under another name. Pushed models stay as they are; what is lost is the list of earlier runs
    and of their results, so the next run computes every step again.
    """
    from pathlib import Path

    from restem.errors import RestemError
    from restem.pipeline.local.database import DATABASE, damage, set_aside
    from restem.pipeline.local.folder import RunFolder

    folder = RunFolder(Path(os.path.expanduser(root)).resolve())
    database = folder.root / DATABASE
    if not database.is_file():
        raise RestemError(
            "this folder has no metadata database",
            where=str(folder.root),
            expected=f"the --root of restem run, with the file {DATABASE}",
            given="a folder without it" if folder.root.is_dir() else "no such folder",
        )
    with folder.locked():
        problem = damage(database)
        if problem is None and database.stat().st_size and not yes:
            raise RestemError(
                "the database is not damaged",
                where=str(database),
                remedy="With --yes it is set aside nevertheless; all steps are then computed again",
            )
        kept = set_aside(folder.root)
    say(f"The database is now {kept}. The next restem run computes every step again.", file=sys.stderr)
