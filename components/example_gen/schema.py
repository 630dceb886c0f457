"""The schema of raw examples: what is committed in schemas/, completed with what only the data can tell."""

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from restem import schemas
from restem.example_gen.dataset import ExampleFields

# Validation leaves out the features that are not in this environment: they are in the examples, not in the statistics.
STATISTICS_ENVIRONMENT = "STATISTICS"


def committed_schema() -> schema_pb2.Schema:
    """The schema in schemas/raw_examples.pbtxt."""
    return text_format.Parse(schemas.raw_examples(), schema_pb2.Schema())


def complete_schema(fields: ExampleFields) -> schema_pb2.Schema:
    """The schema for examples with these fields.

    Returns:
      The committed schema, in which `label` is one of the names and `label_index` one of their positions, with the
      further features.
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
    """A scalar in every example, of which no statistics are made: their features are the committed ones."""
    feature = schema.feature.add(name=name, type=kind, not_in_environment=[STATISTICS_ENVIRONMENT])
    feature.shape.SetInParent()
    feature.presence.min_fraction = 1.0


def small_features() -> schema_pb2.Schema:
    """The part of the committed schema that statistics are made of."""
    schema = committed_schema()
    small = [feature for feature in schema.feature if STATISTICS_ENVIRONMENT not in feature.not_in_environment]
    return schema_pb2.Schema(feature=small)
