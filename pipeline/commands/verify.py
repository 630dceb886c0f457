"""`restem verify`: checks the files of a version, or of a run, against their checksums."""

import json
import sys
from typing import TYPE_CHECKING

import click

from restem.pipeline.commands.options import json_option
from restem.visible import say

if TYPE_CHECKING:
    from restem.checksums import Differences
    from restem.pipeline.local.verification import Checked


@click.command()
@click.argument("name", metavar="VERSION")
@click.option("--key", metavar="FILE", help="Also check the signature of the manifest, with this public key (PEM).")
@json_option
def verify(name: str, key: str | None, as_json: bool) -> int:
    """Check that VERSION has the files that were pushed: each changed, missing and additional file is named.

    VERSION is the folder of a version, or of all versions: then the newest is checked; both can be in a bucket. Or the
    folder of a run (--root): then its newest version, and the stored results of the steps; FOLDER@START means the
    results of an older run. The exit code is 1 if anything differs.

    Without --key, the manifest finds damage and mistakes, not somebody who can write into the folder.
    """
    from restem.pipeline.environment.quiet import start_tensorflow
    from restem.pipeline.local.verification import verify as check
    from restem.pipeline.preflight import check_storage
    from restem.storage import is_remote

    if is_remote(name):
        check_storage("VERSION", name)
        start_tensorflow()  # which reads buckets
    checked = check(name, key)
    if as_json:
        print(json.dumps(checked.to_dict()))
    else:
        _show(checked)
    return 1 if checked.differs else 0


def _show(checked: "Checked") -> None:
    version = checked.version
    if version is not None:
        count, made = len(version.manifest.files), version.manifest.made_of
        _tell(version.path, version.found, f"all {count} files are those that were pushed")
        say(f"  run            {version.manifest.run or 'not known'}")
        for label, digest in (
            ("images", made.data),
            ("configuration", made.configuration),
            ("code", made.code),
            ("lock file", made.lock),
            ("packages", made.packages),
        ):
            say(f"  {label:<14} {digest or 'not recorded'}")
        if version.signed_by:
            say(f"  signed by      {version.signed_by}")
    if checked.run is not None:
        known = [result for result in checked.results if result.found is not None]
        for result in known:
            if result.found:
                _tell(result.folder, result.found, "")
        good = sum(not result.found for result in known)
        say(f"{checked.run}: {good} of {len(checked.results)} results of its steps are as they were written")
        if len(known) < len(checked.results):
            say(f"{len(checked.results) - len(known)} have no checksums: an older version of Restem wrote them")
        if good < len(known):
            remedy = "restem run --recompute runs the steps of damaged results, and what needs them, again"
            say(remedy, file=sys.stderr)


def _tell(place: str, found: "Differences", good: str) -> None:
    from restem.visible import visible

    say(f"{visible(place)}: {'the files differ' if found else good}")
    for kind, names in (("changed", found.changed), ("missing", found.missing), ("additional", found.additional)):
        for each in names:
            say(f"  {kind:<10} {visible(each)}")
