"""The folder of released models that a command works on: given itself, or by a configuration."""

import os
from collections.abc import Callable

import click


def destination_options(command: Callable) -> Callable:
    """Adds --config, --set, --root and --destination."""
    options = (
        click.option(
            "--config", "config_path", metavar="FILE", help="The configuration (YAML): its push.destination is used."
        ),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value. Repeatable."),
        click.option("--root", metavar="DIR", help="The run's folder. Default: runs/<name>."),
        click.option("--destination", metavar="DIR", help="The folder of versions, in place of a configuration."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def find_destination(
    config_path: str | None, overrides: tuple[str, ...], root: str | None, destination: str | None
) -> str:
    """The folder of versions; an absolute path or a bucket's address.

    Raises:
        RestemError: the configuration is wrong, or the storage cannot be reached.
    """
    from pathlib import Path

    from restem.errors import RestemError
    from restem.pipeline.config import load_config, push_destination
    from restem.pipeline.environment.quiet import start_tensorflow
    from restem.pipeline.local.folder import RunFolder
    from restem.pipeline.preflight import check_storage
    from restem.storage import is_remote

    if (config_path is None) == (destination is None):
        raise click.UsageError("Give either --config or --destination to select the folder of versions.")
    if destination is not None and (root or overrides):
        raise click.UsageError("--root and --set belong to --config.")
    key = "--destination"
    if config_path is not None:
        key = "push.destination"
        config = load_config(config_path, overrides)
        destination = push_destination(config, str(RunFolder.of(config, root).root))
    assert destination is not None
    check_storage(key, destination)
    if is_remote(destination):
        start_tensorflow()  # which reads buckets
        return destination
    folder = Path(os.path.expanduser(destination)).absolute()
    # The destination of a configuration need not be there before the first push.
    if folder.is_dir() or (config_path is not None and not folder.exists()):
        return str(folder)
    raise RestemError(
        "this is a file" if folder.exists() else "there is no such folder",
        where=f"{key} ({folder})",
        expected="the folder of versions",
    )
