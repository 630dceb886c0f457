"""The driver of ImageExampleGen: decides whether the data changed since the last run.

TFX's own fingerprint adds up the sizes and the modification times (in whole seconds) of what the input pattern matches:
a file that moves to another class leaves it as it was. This one covers every file's path, size and time.
"""

import os
from collections.abc import Iterable

from tfx.components.example_gen.driver import FileBasedDriver
from tfx.components.example_gen.input_processor import FileBasedInputProcessor
from tfx.proto import example_gen_pb2, range_config_pb2

from components.example_gen.folder import fingerprint


class ImageDriver(FileBasedDriver):
    """TFX's driver (span and version from the pattern) with a fingerprint that misses no change."""

    def get_input_processor(
        self,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,
        input_base_uri: str | None = None,
    ) -> FileBasedInputProcessor:
        """The processor that resolves span and version and takes the fingerprint."""
        return _ImageInputProcessor(input_base_uri, splits, range_config)


class _ImageInputProcessor(FileBasedInputProcessor):
    def get_input_fingerprint(self, span: int, version: int | None) -> str:
        patterns = [self.get_pattern_for_span_version(split.pattern, span, version) for split in self._splits]
        return "\n".join(fingerprint(data_folder(self._input_base_uri, pattern)) for pattern in patterns)


def data_folder(input_base: str, pattern: str) -> str:
    """The folder of images that an input pattern with span and version filled in names: 'span-3/*' is span-3."""
    return os.path.normpath(os.path.join(input_base, pattern.rstrip("*")))
