"""The schema of raw examples: what is committed in schemas/, completed with what only the data can tell."""

from collections.abc import Sequence

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

import schemas

# Validation leaves out the features that are not in this environment: they are in the examples, not in the statistics.
STATISTICS_ENVIRONMENT = "STATISTICS"


def committed_schema() -> schema_pb2.Schema:
    """The schema in schemas/raw_examples.pbtxt."""
    return text_format.Parse(schemas.raw_examples(), schema_pb2.Schema())


def complete_schema(classes: Sequence[str]) -> schema_pb2.Schema:
    """The schema for data of these classes.

    Args:
      classes: all names, in the order of label_index.

    Returns:
      The committed schema, in which `label` is one of the names and `label_index` one of their positions.
    """
    schema = committed_schema()
    features = {feature.name: feature for feature in schema.feature}
    features["label"].string_domain.CopyFrom(schema_pb2.StringDomain(name="label", value=classes))
    features["label_index"].int_domain.CopyFrom(
        schema_pb2.IntDomain(name="label_index", min=0, max=len(classes) - 1, is_categorical=True)
    )
    return schema


def small_features() -> schema_pb2.Schema:
    """The part of the committed schema that statistics are made of."""
    schema = committed_schema()
    small = [feature for feature in schema.feature if STATISTICS_ENVIRONMENT not in feature.not_in_environment]
    return schema_pb2.Schema(feature=small)
