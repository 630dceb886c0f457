import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.types import artifact_utils, standard_artifacts

from restem.errors import RestemError
from restem.example_gen.validator import SMALL_FEATURES, StrictExecutor


@pytest.fixture
def validate(odd_run, tmp_path):
    """validate(change): runs the validator on the run's real statistics and a changed copy of its schema."""

    def start(change) -> None:
        text = (odd_run.uris["ImageExampleGen.schema"] / "schema.pbtxt").read_text()
        schema = text_format.Parse(text, schema_pb2.Schema())
        change({feature.name: feature for feature in schema.feature})
        (tmp_path / "schema").mkdir()
        (tmp_path / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(schema))
        statistics = standard_artifacts.ExampleStatistics()
        statistics.uri = str(odd_run.uris["StatisticsGen.statistics"])
        statistics.split_names = artifact_utils.encode_split_names(["train", "test"])
        statistics.span = 0
        changed = standard_artifacts.Schema()
        changed.uri = str(tmp_path / "schema")
        anomalies = standard_artifacts.ExampleAnomalies()
        anomalies.uri = str(tmp_path / "anomalies")
        inputs = {"statistics": [statistics], "schema": [changed]}
        StrictExecutor().Do(inputs, {"anomalies": [anomalies]}, {"exclude_splits": "[]"})

    return start


def test_good_data_pass(odd_run):
    assert odd_run.states == {
        "ImageExampleGen": "COMPLETE",
        "StatisticsGen": "COMPLETE",
        "StrictExampleValidator": "COMPLETE",
    }


def test_statistics_cover_only_the_small_features(odd_run):
    import tensorflow_data_validation as tfdv

    for split in ("train", "test"):
        path = odd_run.uris["StatisticsGen.statistics"] / f"Split-{split}" / "FeatureStats.pb"
        (dataset,) = tfdv.load_stats_binary(str(path)).datasets
        names = {feature.path.step[0] for feature in dataset.features}
        assert (
            names
            == set(SMALL_FEATURES)
            == {"label", "label_index", "height", "width", "channels", "bit_depth", "format"}
        )
        assert dataset.num_examples > 0


def test_the_committed_schema_passes(validate):
    validate(lambda features: None)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda f: setattr(f["width"].int_domain, "min", 24), [r"split train, feature width: Out-of-range values"]),
        (lambda f: f["label"].string_domain.value.remove("dog"), [r"feature label: Unexpected string values.*dog"]),
        (
            lambda f: f["format"].string_domain.value.remove("PNG"),
            [r"split train, feature format", "split test, feature"],
        ),
        (lambda f: setattr(f["height"], "type", schema_pb2.FLOAT), ["feature height: "]),
    ],
    ids=["range", "class", "format", "type"],
)
def test_anomalies_stop_the_pipeline_and_are_shown(validate, change, expected):
    with pytest.raises(RestemError) as caught:
        validate(change)
    for text in expected:
        caught.match(text)


def test_a_missing_feature_is_an_anomaly(validate):
    def rename(features):
        features["height"].name = "depth"

    with pytest.raises(RestemError, match="feature depth: Column dropped"):
        validate(rename)
