"""TFX's cache for a root that can be moved: keys without the root's path; and without damaged results.

TFX hashes the absolute paths of a step's inputs and parameters into the key of its cache, so a root under another name
would compute everything again. It also hashes the flags of the Beam runner, which change how a step runs, not what it
writes.
"""

import contextlib
import copy
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

# As TFX names a result: <root>/pipeline/<step>/<output>/<number of the execution>.
RESULT = re.compile(r"(?s)(.*)/pipeline/[^/]+/[^/]+/[^/]+")
HERE = "{root}/"
DELETED = 4  # ML Metadata's Artifact.State

log = logging.getLogger("restem")


@contextlib.contextmanager
def cache_of(root: str, usable: Callable[[str], bool]) -> Iterator[None]:
    """Changes TFX's cache in this process while the context lasts.

    Args:
        root: the absolute path of the run's folder.
        usable: whether a result in this folder may come from the cache.
    """
    from tfx.orchestration.portable import cache_utils

    key, cached = cache_utils.get_cache_context, cache_utils.get_cached_outputs

    def usable_outputs(*args: Any, **others: Any) -> Any:
        found = cached(*args, **others)
        every = [artifact.uri for artifacts in (found or {}).values() for artifact in artifacts]
        return found if all([usable(uri) for uri in every]) else None

    def key_without_paths(
        *,
        executor_spec: Any = None,
        input_artifacts: Mapping[str, Sequence[Any]] | None = None,
        parameters: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> Any:
        return key(
            executor_spec=_without_runner(executor_spec),
            input_artifacts={
                name: [_without_path(artifact, root) for artifact in artifacts]
                for name, artifacts in (input_artifacts or {}).items()
            },
            parameters={name: str(value).replace(f"{root}/", HERE) for name, value in (parameters or {}).items()},
            **others,
        )

    cache_utils.get_cache_context, cache_utils.get_cached_outputs = key_without_paths, usable_outputs
    try:
        yield
    finally:
        cache_utils.get_cache_context, cache_utils.get_cached_outputs = key, cached


def _without_runner(spec: Any) -> Any:
    if spec is None or "beam_pipeline_args" not in spec.DESCRIPTOR.fields_by_name:
        return spec
    spec = copy.deepcopy(spec)
    spec.ClearField("beam_pipeline_args")
    spec.ClearField("beam_pipeline_args_placeholders")
    return spec


def _without_path(artifact: Any, root: str) -> Any:
    artifact = copy.deepcopy(artifact)
    stored = artifact.mlmd_artifact
    stored.uri = stored.uri.replace(f"{root}/", HERE)
    for value in stored.custom_properties.values():
        if value.WhichOneof("value") == "string_value":
            value.string_value = value.string_value.replace(f"{root}/", HERE)
    return artifact


def adopt(database: str, root: str) -> None:
    """Makes the results of a root that was moved or copied its own: the paths in its database become those of `root`.

    Args:
        database: TFX's metadata database, which this process may write to.
        root: the absolute path of the run's folder.
    """
    if not os.path.isfile(database):
        return
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        for former in former_roots(connection, root):
            prefix = f"{former}/"
            for table, column in (("Artifact", "uri"), ("ArtifactProperty", "string_value")):
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - our own names
                    f"WHERE substr({column}, 1, ?) = ?",
                    (f"{root}/", len(prefix) + 1, len(prefix), prefix),
                )
            log.info("the folder was moved or copied from %s: its results are used from here", former)
            # Those that restem clean removed are not missed.
            rows = connection.execute("SELECT uri FROM Artifact WHERE state IS NOT ?", (DELETED,))
            own = [row[0] for row in rows if (row[0] or "").startswith(root)]
            gone = sum(not os.path.exists(uri) for uri in own)
            if gone:
                log.warning("%d of its %d results are not here: the steps that need them run again", gone, len(own))


def former_roots(connection: sqlite3.Connection, root: str) -> list[str]:
    """The other roots that the results in a database belong to; empty for a database without tables."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'Artifact'").fetchone():
        return []
    uris = (row[0] or "" for row in connection.execute("SELECT uri FROM Artifact"))
    found = (match[1] for uri in uris if (match := RESULT.fullmatch(uri)))
    return [former for former in dict.fromkeys(found) if former != root]


def here(path: str, root: str) -> str:
    """The path of a result in `root`, whichever folder the root was in when it was written."""
    match = RESULT.fullmatch(path)
    return path if match is None else f"{root}{path.removeprefix(match[1])}"
