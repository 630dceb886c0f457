"""The driver of ImageExampleGen: decides whether the data changed since the last run.

TFX's own fingerprint adds up the sizes and the modification times (in whole seconds) of what the input pattern matches:
a file that moves to another class leaves it as it was, and so does a window of spans that moves on. This one covers
path, size and time of every file in all spans that will be read.
"""

from collections.abc import Iterable
from typing import Any

from tfx.components.example_gen.driver import FileBasedDriver
from tfx.components.example_gen.input_processor import FileBasedInputProcessor
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2, range_config_pb2

from restem.example_gen import spans
from restem.example_gen.config import DataConfig
from restem.example_gen.executor import data_config
from restem.example_gen.listing import fingerprint


class ImageDriver(FileBasedDriver):
    """TFX's driver, with spans and a fingerprint of our own."""

    def resolve_exec_properties(
        self,
        exec_properties: dict[str, Any],
        pipeline_info: data_types.PipelineInfo,
        component_info: data_types.ComponentInfo,
    ) -> dict[str, Any]:
        """Adds span, version and fingerprint to the properties."""
        self._config = data_config(exec_properties)
        return super().resolve_exec_properties(exec_properties, pipeline_info, component_info)

    def get_input_processor(
        self,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,
        input_base_uri: str | None = None,
    ) -> FileBasedInputProcessor:
        """What resolves the span and takes the fingerprint."""
        return _ImageInputProcessor(input_base_uri, splits, self._config)


class _ImageInputProcessor(FileBasedInputProcessor):
    def __init__(
        self, input_base_uri: str | None, splits: Iterable[example_gen_pb2.Input.Split], config: DataConfig
    ) -> None:
        super().__init__(input_base_uri, splits)
        self._config = config

    def resolve_span_and_version(self) -> tuple[int, int | None]:
        newest = spans.newest(self._config.path)[-1]
        return newest.number or 0, newest.version

    def get_input_fingerprint(self, span: int, version: int | None) -> str:
        return fingerprint(self._config.path, self._config)
