"""data.include and data.exclude: which of the images are used."""

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import Listing


class Selection:
    """Matches paths against the patterns and counts what they leave out.

    Attributes:
      left_out: the number of files so far.
    """

    def __init__(self, config: DataConfig) -> None:
        self._include, self._exclude = _compiled(config.include), _compiled(config.exclude)
        self._keys = [key for key in ("include", "exclude") if getattr(config, key)]
        self.left_out = 0

    def takes(self, path: str) -> bool:
        """Whether a path is used; counts it otherwise."""
        taken = (self._include is None or self._include.match(path) is not None) and (
            self._exclude is None or self._exclude.match(path) is None
        )
        self.left_out += not taken
        return taken

    def of_folder(self, found: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        """The files that are used, and the folders, without those of which all files are left out.

        Args:
          found: path and kind of everything; the kind of a folder is "folder".
        """
        if not self._keys:
            return found
        files = [(name, kind) for name, kind in found if kind != "folder"]
        taken = [(name, kind) for name, kind in files if self.takes(name)]
        emptied = _above(name for name, _ in files) - _above(name for name, _ in taken)
        folders = [(name, kind) for name, kind in found if kind == "folder" and name not in emptied]
        return sorted(folders + taken)

    def of_listing(self, listing: Listing) -> Listing:
        """A listing without the images that are left out; its classes are those of the images that remain."""
        if not self._keys:
            return listing
        files = tuple(file for file in listing.files if self.takes(file.path))
        refused = tuple(one for one in listing.refused if self.takes(one.path))
        remaining = {file.label for file in files}
        classes = tuple(name for name in listing.classes if name in remaining)
        return replace(listing, files=files, refused=refused, classes=classes, notes=(*listing.notes, self.note))

    @property
    def note(self) -> str:
        """How many files are left out, for people; empty without patterns."""
        if not self._keys:
            return ""
        files = "1 file is" if self.left_out == 1 else f"{self.left_out:,} files are"
        return f"{files} left out by {' and '.join(f'data.{key}' for key in self._keys)}"


def _compiled(patterns: Sequence[str]) -> re.Pattern | None:
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)) if patterns else None


def _above(names: Iterable[str]) -> set[str]:
    """All folders above some files."""
    above: set[str] = set()
    for folder in {name.rpartition("/")[0] for name in names}:
        while folder and folder not in above:
            above.add(folder)
            folder = folder.rpartition("/")[0]
    return above
