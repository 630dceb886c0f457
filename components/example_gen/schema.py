"""The schema of raw examples: the committed schema in schemas/, completed with what depends on the data."""

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from restem import schemas
from restem.example_gen.dataset import ExampleFields

# Validation skips features outside this environment: they are in the examples, but not in the statistics.
STATISTICS_ENVIRONMENT = "STATISTICS"


def committed_schema() -> schema_pb2.Schema:
    """The schema in schemas/raw_examples.pbtxt."""
    return text_format.Parse(schemas.raw_examples(), schema_pb2.Schema())


def complete_schema(fields: ExampleFields) -> schema_pb2.Schema:
    """The schema for examples with these fields.

    Returns:
      The committed schema with the additional features; `label` is one of the class names and `label_index` its index.
    """
    schema = committed_schema()
    features = {feature.name: feature for feature in schema.feature}
    features["label"].string_domain.CopyFrom(schema_pb2.StringDomain(name="label", value=fields.classes))
    features["label_index"].int_domain.CopyFrom(
        schema_pb2.IntDomain(name="label_index", min=0, max=len(fields.classes) - 1, is_categorical=True)
    )
    for name in fields.metadata:
        _add(schema, name, schema_pb2.BYTES)
    if fields.weighted:
        _add(schema, "weight", schema_pb2.FLOAT)
    return schema


def _add(schema: schema_pb2.Schema, name: str, kind: "schema_pb2.FeatureType") -> None:
    """Adds a scalar that every example has. Statistics skip it: they use only the committed features."""
    feature = schema.feature.add(name=name, type=kind, not_in_environment=[STATISTICS_ENVIRONMENT])
    feature.shape.SetInParent()
    feature.presence.min_fraction = 1.0


def small_features() -> schema_pb2.Schema:
    """The part of the committed schema that is used for statistics."""
    schema = committed_schema()
    small = [feature for feature in schema.feature if STATISTICS_ENVIRONMENT not in feature.not_in_environment]
    return schema_pb2.Schema(feature=small)
