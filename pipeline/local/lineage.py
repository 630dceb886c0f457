"""What TFX's metadata database knows: which run used and made which results.

It is read with SQL: for the runs of a year, ML Metadata's own interface needs two seconds, because it reads all
properties of all executions. It is written through that interface.
"""

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from restem.errors import RestemError
from restem.pipeline.local.database import DATABASE, check_database

AT_ONCE = 500  # ids in one request: SQLite limits the length of a statement
GATE, BASELINE = "gate", "baseline"  # properties of the Evaluator (requirements and slices) and of the Baseline
# ML Metadata's numbers.
DONE, OUTPUT, DELETED = (3, 5), 4, 4  # Execution.State COMPLETE and CACHED, Event.Type, Artifact.State


@dataclass(frozen=True)
class Result:
    """An artifact.

    Attributes:
      id: in the database.
      uri: its folder when it was written, or when the root last ran; see `cache.here`.
      removed: whether `restem clean` has removed it.
    """

    id: int
    uri: str
    removed: bool


@dataclass(frozen=True)
class Execution:
    """A step of a run.

    Attributes:
      id: in the database.
      pipeline, step: its names.
      done: whether it finished, or its results came from the cache.
      properties: GATE or BASELINE, if it has them.
      inputs: the ids of the results that it read.
      outputs: the ids of the results that it made or took from the cache, by key.
    """

    id: int
    pipeline: str
    step: str
    done: bool
    properties: Mapping[str, str]
    inputs: tuple[int, ...]
    outputs: Mapping[str, tuple[int, ...]]

    @property
    def results(self) -> frozenset[int]:
        """The ids of all results that it needs."""
        return frozenset(self.inputs).union(*self.outputs.values())


@dataclass(frozen=True)
class Run:
    """A run, finished or not.

    Attributes:
      start: when it started, in local time, e.g. 2026-11-26T18:48:22.095847; TFX's name of the run.
      executions: its steps, in the order in which they started.
    """

    start: str
    executions: tuple[Execution, ...]

    @property
    def pipeline(self) -> str:
        """The name of its configuration; empty if it was stopped before its first step."""
        return next((execution.pipeline for execution in self.executions), "")

    @property
    def finished(self) -> bool:
        """Whether its last step finished: the Pusher, or Pretrain in a run of `restem pretrain`."""
        started = {execution.step for execution in self.executions}
        last = "Pusher" if "StatisticsGen" in started else "Pretrain"
        return any(execution.step == last and execution.done for execution in self.executions)


@dataclass(frozen=True)
class Lineage:
    """All runs of a root, oldest first, and all results by id; `last` is the largest id of an execution."""

    runs: tuple[Run, ...]
    results: Mapping[int, Result]
    last: int


def read_lineage(root: Path) -> Lineage:
    """Reads a root's metadata database.

    Raises:
      RestemError: the folder is no root, or its database cannot be read.
    """
    database = root / DATABASE
    if not database.is_file():
        raise RestemError(
            "this folder contains no run",
            where=str(root),
            expected=f"the --root of restem run, with the file {DATABASE}",
            given="a folder without it" if root.is_dir() else "a file" if root.exists() else "no such folder",
            remedy="Without --root, a run is in runs/<name of the configuration>",
        )
    check_database(root)
    try:
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return _read(connection)
    except sqlite3.Error as error:
        raise RestemError("the metadata database cannot be read", where=str(database), given=str(error)) from None


def mark_removed(root: Path, ids: Sequence[int]) -> None:
    """Marks results as DELETED, in one transaction: TFX's cache takes only results that are LIVE.

    Raises:
      RestemError: the database cannot be written to.
    """
    from ml_metadata import errors
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(root / DATABASE)
    connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE
    try:
        store = metadata_store.MetadataStore(connection)
        found = [
            artifact
            for first in range(0, len(ids), AT_ONCE)
            for artifact in store.get_artifacts_by_id(ids[first : first + AT_ONCE])
        ]
        for artifact in found:
            artifact.state = metadata_store_pb2.Artifact.DELETED
        store.put_artifacts(found)
    except errors.StatusError as error:
        raise RestemError(
            "the metadata database cannot be written to", where=str(root / DATABASE), given=str(error).splitlines()[0]
        ) from None


def _read(connection: sqlite3.Connection) -> Lineage:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "Artifact" not in tables:  # no run has got so far
        return Lineage((), {}, 0)
    nodes: dict[int, str] = {}
    members: dict[str, list[int]] = {}
    for kind, name, execution in connection.execute(
        "SELECT Type.name, Context.name, execution_id FROM Context JOIN Type ON Type.id = Context.type_id "
        "LEFT JOIN Association ON context_id = Context.id WHERE Type.name IN ('node', 'pipeline_run')"
    ):
        if kind == "pipeline_run":
            members.setdefault(name, []).append(execution)
        else:
            nodes[execution] = name
    properties: dict[int, dict[str, str]] = {}
    for execution, name, value in connection.execute(
        "SELECT execution_id, name, string_value FROM ExecutionProperty WHERE is_custom_property AND name IN (?, ?)",
        (GATE, BASELINE),
    ):
        properties.setdefault(execution, {})[name] = value
    inputs: dict[int, list[int]] = {}
    outputs: dict[int, dict[str, list[int]]] = {}
    for execution, artifact, kind, key in connection.execute(
        "SELECT execution_id, artifact_id, type, step_key FROM Event "
        "LEFT JOIN EventPath ON event_id = Event.id AND NOT is_index_step ORDER BY Event.id"
    ):
        if kind == OUTPUT:
            outputs.setdefault(execution, {}).setdefault(key or "", []).append(artifact)
        else:
            inputs.setdefault(execution, []).append(artifact)
    executions = {}
    for number, state in connection.execute("SELECT id, last_known_state FROM Execution ORDER BY id"):
        # A node's name is <pipeline>.<step>.
        pipeline, _, step = nodes.get(number, "").rpartition(".")
        made = {key: tuple(ids) for key, ids in outputs.get(number, {}).items()}
        executions[number] = Execution(
            number, pipeline, step, state in DONE, properties.get(number, {}), tuple(inputs.get(number, ())), made
        )
    runs = [
        Run(start, tuple(executions[each] for each in sorted(each for each in ids if each in nodes)))
        for start, ids in sorted(members.items())
    ]
    results = {
        number: Result(number, uri or "", state == DELETED)
        for number, uri, state in connection.execute("SELECT id, uri, state FROM Artifact")
    }
    return Lineage(tuple(runs), results, max(executions, default=0))
