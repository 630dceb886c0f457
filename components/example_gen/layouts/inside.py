"""Whether the files that a table names are in the data folder: a table may come from somebody else.

The data folder is the table's own folder (with {SPAN} in data.path, the folder above the spans) together with
`data.images_folder`. On remote storage it is the whole bucket of either: a bucket, not a folder, is what rights are
given for. Whoever writes a row could otherwise name any file that the user may read, and see it in the report.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import first_few
from restem.example_gen.layouts.places import Places
from restem.visible import visible

_BUCKET = re.compile(r"[^/]+://[^/]*")
OUTSIDE = "it is outside the data folder: set data.allow_outside: true to read such files"
LINKED = "it is a link that leads out of the data folder: set data.follow_links: true to follow such links"


class DataFolder:
    """The folders and buckets that rows may name files in."""

    def __init__(self, folder: str, roots: Iterable[str], *, follow_links: bool) -> None:
        """See the module.

        Args:
          folder: the folder that relative paths start at.
          roots: folders, relative to the current one or absolute, or URLs.
          follow_links: data.follow_links: what a link leads to may be anywhere.
        """
        self._folder = folder
        local = [os.path.abspath(root) for root in roots if not storage.is_remote(root)]
        self._buckets = {bucket_of(root) for root in roots if storage.is_remote(root)}
        self._real = [_with_slash(os.path.realpath(root)) for root in local]
        self._named = [*self._real, *map(_with_slash, local)]  # the root itself may be reached through a link
        self._follow = follow_links
        self._folders: dict[str, str] = {}  # each folder of the files -> where it really is

    def problem(self, path: str) -> str:
        """Why a file is not in the data folder, as the end of a sentence; empty: it is.

        Args:
          path: relative to `folder`, absolute, or a URL. Nothing has to exist.
        """
        full = storage.join(self._folder, path)
        if storage.is_remote(full):
            return "" if bucket_of(full) in self._buckets else OUTSIDE
        full = os.path.abspath(full)
        named = full.startswith(tuple(self._named))
        if named and self._follow:
            return ""
        above, name = os.path.split(full)
        real = self._folders.get(above)
        if real is None:
            real = self._folders[above] = os.path.realpath(above)
        # A listing of 100,000 files has time for one look at each, but not for one at each part of each path.
        target = os.path.realpath(full) if os.path.islink(full) else os.path.join(real, name)
        if target.startswith(tuple(self._real)):
            return ""
        return LINKED if named else OUTSIDE


def bucket_of(url: str) -> str:
    """gs://bucket of gs://bucket/folder/file."""
    found = _BUCKET.match(url)
    return found[0] if found else url


def _with_slash(folder: str) -> str:
    return folder.rstrip("/") + "/"


def files_outside(places: Places, folder: str, base: str, config: DataConfig) -> dict[str, str]:
    """Name in the table -> why its file is not read; empty with data.allow_outside.

    Args:
      places: where the files are.
      folder: the folder that their paths start at.
      base: the folder that the table's names start at.
      config: its allow_outside and follow_links.
    """
    if config.allow_outside:
        return {}
    data_folder = DataFolder(folder, (folder, base), follow_links=config.follow_links)
    problems = ((name, data_folder.problem(path)) for name, path in places.paths.items())
    return {name: problem for name, problem in problems if problem}


def check_outside(
    outside: Mapping[str, str], places: Places, config: DataConfig, where: str, row_of: Callable[[str], str]
) -> None:
    """Refuses a table with more files outside the data folder than may be quarantined.

    Args:
      outside: from `files_outside`.
      places: where the files are.
      config: its max_quarantined and images_folder.
      where: the table, for the message.
      row_of: name in the table -> its row, for the message.

    Raises:
      RestemError: with their number, the first of them, and the keys that allow them.
    """
    count = len(places.paths) + len(places.missing)
    if len(outside) <= config.max_quarantined * count:
        return
    links = all(problem == LINKED for problem in outside.values())
    # With another images_folder, the other names would mean other files.
    common = "" if links or len(outside) < count else _common_folder([places.paths[name] for name in outside])
    key = "data.follow_links" if links else "data.allow_outside"
    folder = f" set data.images_folder to the folder that they are in ({visible(common)}), or" if common else ""
    where_else = f" or in data.images_folder ({config.images_folder})" if config.images_folder else ""
    raise RestemError(
        f"{len(outside):,} of {count:,} files are {'links that lead out of' if links else 'outside'} the data folder",
        where=where,
        expected=f"files in the table's folder{where_else}",
        given=f"{first_few([repr(name) for name in outside])}; the first is in {row_of(next(iter(outside)))}",
        remedy=f"If you trust the table,{folder} set {key}: true",
    )


def outside_notes(outside: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence about the files that are not read; none if there are none."""
    if not outside:
        return ()
    first, problem = next(iter(outside.items()))
    which = "1 file is" if len(outside) == 1 else f"{len(outside):,} files are"
    return (f"{which} not read, such as {visible(first)}: {problem}, if you trust the table.",)


def _common_folder(paths: Sequence[str]) -> str:
    """The folder, or the bucket, that all these absolute paths or URLs are in; empty if there is none."""
    if all(map(storage.is_remote, paths)):
        buckets = {bucket_of(path) for path in paths}
        return buckets.pop() if len(buckets) == 1 else ""
    if any(map(storage.is_remote, paths)) or not all(map(os.path.isabs, paths)):
        return ""
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    return "" if common == "/" else common
