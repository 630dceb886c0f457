"""The tables that a path names: one, or with a pattern such as data/*.parquet several, as datasets are published.

If all their names begin with the name of a split (train-00000-of-00002.parquet), the names give the splits.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import SPLIT_NAMES, first_few
from restem.example_gen.layouts.table import Table, read_table

_FIRST_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class Shards:
    """The tables.

    paths, tables: of each.
    splits: of each, if their names give them; else empty.
    """

    paths: tuple[str, ...]
    tables: tuple[Table, ...]
    splits: tuple[str, ...]

    def row(self, table: int, number: int) -> str:
        """A row's name for the user, such as "line 7"."""
        name = f"{self.tables[table].unit.lower()} {number}"
        return name if len(self.paths) == 1 else f"{name} of {self.paths[table].rpartition('/')[2]}"


def shard_paths(path: str) -> list[str]:
    """The files, sorted.

    Raises:
      RestemError: no file matches the pattern.
    """
    if not set(path.rpartition("/")[2]) & set("*?"):
        return [path]
    try:
        found = storage.files_like(path)
    except OSError as error:
        raise storage.reading_failed(path, error) from None
    if not found:
        raise RestemError("no table matches the pattern", where=f"data.path ({path})")
    return found


def open_shards(path: str, config: DataConfig) -> Shards:
    """Opens the tables.

    Raises:
      RestemError: there is none, or one cannot be read; the names of some give a split, and of others not.
    """
    paths = shard_paths(path)
    tables = tuple(read_table(one, config) for one in paths)
    by_column = config.columns.split is not None and any(config.columns.split in table.columns for table in tables)
    return Shards(tuple(paths), tables, () if by_column else split_names(paths))


def split_names(paths: Sequence[str]) -> tuple[str, ...]:
    """The split of each of several tables by its name; none if no name gives one.

    Raises:
      RestemError: only some names give one.
    """
    if len(paths) < 2:
        return ()
    words = [_FIRST_WORD.match(path.rpartition("/")[2]) for path in paths]
    splits = [SPLIT_NAMES.get(word[0].lower(), "") if word else "" for word in words]
    if not any(splits):
        return ()
    if not all(splits):
        raise RestemError(
            "the names of some tables are splits, and of others not",
            where=f"data.path ({paths[0].rpartition('/')[0]})",
            expected="names such as train-0.parquet and test-0.parquet, or a column with the splits",
            given=first_few([path.rpartition("/")[2] for path, split in zip(paths, splits, strict=True) if not split]),
            remedy="Rename them, or name only the others in data.path",
        )
    return tuple(splits)
