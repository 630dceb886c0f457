"""`python -m restem.pipeline.config` prints the JSON schema for schemas/config.schema.json."""

from restem.pipeline.config import json_schema

print(json_schema(), end="")
