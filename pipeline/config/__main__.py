"""`python -m pipeline.config` prints the JSON schema that stands in schemas/config.schema.json."""

from pipeline.config import json_schema

print(json_schema(), end="")
