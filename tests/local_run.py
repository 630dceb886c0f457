"""Runs single pipeline steps with TFX on this machine, like `restem run`, but without a configuration."""

from collections.abc import Sequence
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline

from restem.pipeline.config.beam import BeamConfig


def run_locally(
    steps: Sequence[BaseComponent], root: Path, beam: BeamConfig | None = None
) -> metadata_store_pb2.ConnectionConfig:
    """Runs the steps, with outputs in <root>/pipeline. Returns the connection to TFX's metadata."""
    connection = sqlite_metadata_connection_config(str(root / "metadata.sqlite"))
    pipeline = Pipeline(
        pipeline_name="steps",
        pipeline_root=str(root / "pipeline"),
        components=list(steps),
        enable_cache=True,
        metadata_connection_config=connection,
        beam_pipeline_args=list((beam or BeamConfig()).pipeline_args()),
    )
    LocalDagRunner().run(pipeline)
    return connection
