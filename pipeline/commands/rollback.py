"""`restem rollback`: makes an earlier version the newest one again."""

import json
import sys

import click

from restem.pipeline.commands.destination import destination_options, find_destination
from restem.pipeline.commands.options import json_option
from restem.visible import say


@click.command()
@click.argument("version", type=int, required=False)
@destination_options
@json_option
def rollback(
    version: int | None,
    config_path: str | None,
    overrides: tuple[str, ...],
    root: str | None,
    destination: str | None,
    as_json: bool,
) -> None:
    """Release VERSION once more, as the newest version, so that servers load it.

    Without VERSION: the newest one before the served version, with another model that was not rolled back itself. The
    models that are passed over are not pushed again by later runs, unless new images, settings or code change them.
    """
    from restem.pipeline.config import load_config
    from restem.pusher.config import PushConfig
    from restem.pusher.rollback import rollback as go_back

    place = find_destination(config_path, overrides, root, destination)
    # With --destination alone, the keys are not known.
    push = load_config(config_path, overrides).push if config_path else PushConfig()
    done = go_back(place, version, sign_key=push.sign_key, verify_key=push.verify_key)
    if as_json:
        told = {
            "version": done.version.number,
            "path": done.version.path,
            "origin": done.origin,
            "replaced": done.replaced,
            "withdrawn": list(done.withdrawn),
            "manifest": done.manifest,
        }
        print(json.dumps(told))
        return
    say(f"{done.version.path} is served now: the model of version {done.origin}, in place of {done.replaced}.")
    if done.withdrawn:
        say(f"Runs do not push the models of these versions again: {', '.join(map(str, done.withdrawn))}.")
    if done.manifest:
        say(f"The KServe manifest names it; apply it again if the models are in a bucket: {done.manifest}")
    sys.stdout.flush()
