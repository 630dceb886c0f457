"""Statistics for the small features, and a validator that stops the pipeline on anomalies."""

import os
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components import ExampleValidator, StatisticsGen
from tfx.components.example_validator import executor as tfx_validator
from tfx.components.example_validator import labels
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_component_specs
from tfx.utils import writer_utils

from restem.errors import RestemError
from restem.example_gen.schema import STATISTICS_ENVIRONMENT, small_features

# The features with statistics: everything in a raw example except image_bytes and path.
SMALL_FEATURES = tuple(feature.name for feature in small_features().feature)


def statistics_gen(examples: types.BaseChannel) -> StatisticsGen:
    """StatisticsGen for SMALL_FEATURES only; image bytes are not parsed.

    With a schema in the options, TFX parses only its features. A `feature_allowlist` does not work, because it needs
    paths, which TFX's JSON cannot represent.
    """
    options = tfdv.StatsOptions(schema=small_features(), experimental_filter_read_paths=True)
    return StatisticsGen(examples=examples, stats_options=options)


def example_validator(statistics: types.BaseChannel, schema: types.BaseChannel) -> ExampleValidator:
    """An ExampleValidator that fails on anomalies and shows them; TFX's validator only records them."""
    return StrictExampleValidator(statistics=statistics, schema=schema).with_id("ExampleValidator")


class StrictExecutor(tfx_validator.Executor):
    """Validates in the statistics environment, and fails on anomalies.

    Without the environment, TFDV reports every feature without statistics (such as image bytes) as a missing column.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> Any:
        """Validates every split.

        Raises:
          RestemError: with split, feature and description of every anomaly.
        """
        self._found: list[str] = []
        result = super().Do(input_dict, output_dict, exec_properties)
        if self._found:
            count = f"{len(self._found)} anomal{'y' if len(self._found) == 1 else 'ies'}"
            raise RestemError(
                f"the examples do not match their schema: {count}",
                where="ExampleValidator",
                expected="examples as in schemas/raw_examples.pbtxt",
                remedy="Fix the data, or, if they are correct, the schema:" + "".join(self._found),
            )
        return result

    def _Validate(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> anomalies_pb2.Anomalies:
        anomalies = tfdv.validate_statistics(
            inputs[standard_component_specs.STATISTICS_KEY],
            inputs[standard_component_specs.SCHEMA_KEY],
            environment=STATISTICS_ENVIRONMENT,
        )
        folder = outputs[labels.SCHEMA_DIFF_PATH]
        writer_utils.write_anomalies(os.path.join(folder, tfx_validator.DEFAULT_FILE_NAME), anomalies)
        split = os.path.basename(os.path.normpath(folder)).removeprefix("Split-")
        self._found += (f"\n  split {split}, {line}" for line in describe(anomalies))
        return anomalies


class StrictExampleValidator(ExampleValidator):
    """TFX's ExampleValidator with the strict executor."""

    EXECUTOR_SPEC = ExecutorClassSpec(StrictExecutor)


def describe(anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """One line per anomaly: the feature, TFDV's name of the anomaly, and its description."""
    lines = [
        f"feature {name}: {info.short_description}: {info.description}"
        for name, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        lines.append(f"all examples: {anomalies.dataset_anomaly_info.description}")
    return lines
