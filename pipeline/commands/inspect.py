"""`restem inspect`: shows what a configuration would train on."""

import json
import os
import sys
import tempfile
from pathlib import Path

import click

from restem.pipeline.commands.options import config_option, json_option, set_option
from restem.pipeline.commands.progress_text import Counted
from restem.pipeline.environment.quiet import quiet
from restem.visible import say

SHOWN_FILES = 20
SHOWN_CLASSES = 50
SAMPLES = 8  # images per class that are kept for the pictures


@click.command()
@config_option
@set_option
@click.option("--contact-sheet", metavar="FILE.png", help="Write a picture of what the model sees, one row per class.")
@click.option("--augmented", metavar="FILE.png", help="Write a picture of what train.augment does to some images.")
@click.option(
    "--near-duplicates",
    metavar="FILE.png",
    help="Write a picture of images in different splits that look the same, side by side.",
)
@json_option
def inspect(
    config_path: str,
    overrides: tuple[str, ...],
    contact_sheet: str | None,
    augmented: str | None,
    near_duplicates: str | None,
    as_json: bool,
) -> None:
    """Show classes, splits, identical images, and the files that would go to quarantine. Trains nothing."""
    from restem.pipeline.config import load_config
    from restem.pipeline.datasets.inspection import inspect as look
    from restem.pipeline.local.cluster import check_arguments
    from restem.pipeline.local.folder import RunFolder, prepare
    from restem.pipeline.preflight import check_images, check_released_classes
    from restem.pipeline.preflight_network import check_source

    config = load_config(config_path, overrides)
    if augmented:
        from restem.pipeline.datasets.augmented_sheet import refuse_nothing_to_show, write_augmented_sheet

        refuse_nothing_to_show(config.train.augment)
    for warning in check_arguments(config):
        say(f"restem: {warning}", file=sys.stderr)
    released = check_released_classes(config, check_images(config), None)
    source = check_source(config)
    with tempfile.TemporaryDirectory(prefix="restem-") as folder:
        wanted = SAMPLES if contact_sheet or augmented else 0
        prepared = prepare(config, RunFolder(Path(folder)))
        inspection = look(prepared, samples=wanted, progress=Counted(sys.stderr))
    if contact_sheet:
        from restem.pipeline.datasets.contact_sheet import write_contact_sheet

        with quiet():
            write_contact_sheet(Path(os.path.expanduser(contact_sheet)), inspection.samples, config.image)
        say(f"Wrote {contact_sheet}.", file=sys.stderr)
    if near_duplicates:
        from restem.pipeline.datasets.near_sheet import write_near_sheet

        if write_near_sheet(Path(os.path.expanduser(near_duplicates)), inspection.near):
            say(f"Wrote {near_duplicates}.", file=sys.stderr)
        else:
            say(f"{near_duplicates} is not written: no images look the same.", file=sys.stderr)
    if augmented:
        with quiet():
            write_augmented_sheet(Path(os.path.expanduser(augmented)), inspection.samples, config.image, config.train)
        say(f"Wrote {augmented}.", file=sys.stderr)
        if not (config.train.stem.epochs or config.train.all.epochs):
            say("train.stem.epochs and train.all.epochs are 0: train.augment has no effect.", file=sys.stderr)
    if as_json:
        print(json.dumps({**inspection.to_dict(), "path": config.data.path, "source": source}))
    else:
        _show(inspection, config.data.path)
        if released is not None:
            say(released.sentence)
        say(f"source: {config.model.source_weights}; its preprocessing: {source}")


def _show(inspection, path: str) -> None:  # noqa: ANN001 - Inspection is imported when it is needed
    from rich.table import Table

    from restem.pipeline.commands.console import escape, in_brackets, plain_console, print_table
    from restem.visible import visible

    console = plain_console(sys.stdout)
    splits = list(inspection.counts)
    totals = {split: sum(counts.values()) for split, counts in inspection.counts.items()}
    console.print(f"{escape(path)}: {len(inspection.classes)} classes, {sum(totals.values())} images")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("class", overflow="fold")
    for split in splits:
        table.add_column(split, justify="right")
    for name in inspection.classes[:SHOWN_CLASSES]:
        table.add_row(escape(name), *(str(inspection.counts[split][name]) for split in splits))
    if len(inspection.classes) > SHOWN_CLASSES:
        table.add_row(f"and {len(inspection.classes) - SHOWN_CLASSES} more")
    table.add_row("all", *(str(totals[split]) for split in splits), style="bold")
    print_table(table, sys.stdout)
    sizes = [f"{height}x{width} ({count})" for (height, width), count in inspection.sizes.most_common(5)]
    console.print(f"formats: {', '.join(f'{name} ({count})' for name, count in inspection.formats.most_common())}")
    console.print(f"height x width: {', '.join(sizes)}{', ...' if len(inspection.sizes) > len(sizes) else ''}")
    console.print(f"channels: {', '.join(f'{n} ({count})' for n, count in inspection.channels.most_common())}")
    if inspection.spans:
        console.print(f"spans: {', '.join(map(str, inspection.spans))}")
    found = inspection.duplicates.counts()
    if found["groups"]:
        console.print(
            f"identical images: {found['groups']} appear under several names, {found['leaks']} of them in both "
            f"train and test, {found['conflicts']} with different labels"
        )
    for group in inspection.duplicates.conflicts[:SHOWN_FILES]:
        console.print(escape("  " + " = ".join(f"{visible(copy.path)} ({copy.label})" for copy in group[:5])))
    if inspection.near.sentence:
        console.print(escape(f"near-duplicates: {inspection.near.sentence}. To see them: --near-duplicates FILE.png"))
    for line in inspection.near.examples():
        console.print(escape(f"  {line}"))
    for note in inspection.notes:
        console.print(escape(note))
    console.print(f"quarantined: {len(inspection.quarantined)}")
    for refused in inspection.quarantined[:SHOWN_FILES]:
        console.print(f"  {escape(refused.path)}{in_brackets(refused.bytes)}: {escape(refused.reason)}")
    if len(inspection.quarantined) > SHOWN_FILES:
        console.print(f"  and {len(inspection.quarantined) - SHOWN_FILES} more (--json lists them all)")
    if inspection.problem:
        console.print(f"[red]restem run would stop:[/red] {escape(inspection.problem)}")
