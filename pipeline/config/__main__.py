"""`python -m restem.pipeline.config` prints the JSON schema that stands in schemas/config.schema.json."""

from restem.pipeline.config import json_schema

print(json_schema(), end="")
