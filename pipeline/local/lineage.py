"""What TFX's metadata database knows: which run used and made which results. Neither TFX nor TensorFlow is imported."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restem.errors import RestemError
from restem.pipeline.local.database import DATABASE, check_database

AT_ONCE = 500  # ids in one request: SQLite limits the length of a statement


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
      properties: its custom properties that are texts.
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
            given="a folder without it" if root.is_dir() else "no such folder",
            remedy="Without --root, a run is in runs/<name of the configuration>",
        )
    check_database(root)
    from ml_metadata import errors

    try:
        return _read(_store(database, writes=False))
    except errors.NotFoundError:  # no run has got so far that the types exist
        return Lineage((), {}, 0)
    except errors.StatusError as error:
        raise RestemError(
            "the metadata database cannot be read", where=str(database), given=str(error).splitlines()[0]
        ) from None


def mark_removed(root: Path, ids: Sequence[int]) -> None:
    """Marks results as DELETED, in one transaction: TFX's cache takes only results that are LIVE.

    Raises:
      RestemError: the database cannot be written to.
    """
    from ml_metadata import errors
    from ml_metadata.proto import metadata_store_pb2

    try:
        store = _store(root / DATABASE, writes=True)
        found = [one for part in _parts(ids) for one in store.get_artifacts_by_id(part)]
        for artifact in found:
            artifact.state = metadata_store_pb2.Artifact.DELETED
        store.put_artifacts(found)
    except errors.StatusError as error:
        raise RestemError(
            "the metadata database cannot be written to", where=str(root / DATABASE), given=str(error).splitlines()[0]
        ) from None


def _store(database: Path, *, writes: bool) -> Any:
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    mode = metadata_store_pb2.SqliteMetadataSourceConfig
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(database)
    connection.sqlite.connection_mode = mode.READWRITE if writes else mode.READONLY
    return metadata_store.MetadataStore(connection)


def _read(store: Any) -> Lineage:
    from ml_metadata.proto import metadata_store_pb2

    proto = metadata_store_pb2
    kinds = {kind.name: {one.id: one.name for one in store.get_contexts_by_type(kind.name)} for kind in _kinds(store)}
    executions = {one.id: one for one in store.get_executions()}
    nodes = {
        execution.id: name
        for context, name in kinds.get("node", {}).items()
        for execution in store.get_executions_by_context(context)
    }
    inputs: dict[int, list[int]] = {}
    outputs: dict[int, dict[str, list[int]]] = {}
    for part in _parts(list(executions)):
        for event in store.get_events_by_execution_ids(part):
            if event.type == proto.Event.OUTPUT:
                key = event.path.steps[0].key if event.path.steps else ""
                outputs.setdefault(event.execution_id, {}).setdefault(key, []).append(event.artifact_id)
            else:
                inputs.setdefault(event.execution_id, []).append(event.artifact_id)

    def execution_of(found: Any) -> Execution:
        # A node's name is <pipeline>.<step>.
        pipeline, _, step = nodes[found.id].rpartition(".")
        return Execution(
            found.id,
            pipeline,
            step,
            found.last_known_state in (proto.Execution.COMPLETE, proto.Execution.CACHED),
            {key: value.string_value for key, value in found.custom_properties.items() if value.string_value},
            tuple(inputs.get(found.id, ())),
            {key: tuple(ids) for key, ids in outputs.get(found.id, {}).items()},
        )

    runs = []
    for context, start in kinds.get("pipeline_run", {}).items():
        ids = sorted(one.id for one in store.get_executions_by_context(context))
        runs.append(Run(start, tuple(execution_of(executions[each]) for each in ids if each in nodes)))
    results = {one.id: Result(one.id, one.uri, one.state == proto.Artifact.DELETED) for one in store.get_artifacts()}
    return Lineage(tuple(sorted(runs, key=lambda run: run.start)), results, max(executions, default=0))


def _kinds(store: Any) -> list[Any]:
    return [kind for kind in store.get_context_types() if kind.name in ("pipeline_run", "node")]


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(ids), AT_ONCE):
        yield ids[first : first + AT_ONCE]
