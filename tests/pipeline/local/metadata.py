"""A metadata database with the types that TFX's local runner makes."""

from pathlib import Path

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd


class Database:
    """The database of a root, which is created if it is missing.

    Attributes:
        store: ML Metadata's.
        kinds: the ids of the context types, by name.
        folder, step: the ids of an artifact type and an execution type.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        connection = mlmd.ConnectionConfig()
        connection.sqlite.filename_uri = str(root / "metadata.sqlite")
        connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = metadata_store.MetadataStore(connection)
        self.kinds = {
            kind: self.store.put_context_type(mlmd.ContextType(name=kind)) for kind in ("pipeline_run", "node")
        }
        self.folder = self.store.put_artifact_type(mlmd.ArtifactType(name="Folder"))
        self.step = self.store.put_execution_type(mlmd.ExecutionType(name="Step"))
