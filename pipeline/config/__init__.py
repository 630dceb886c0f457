"""The configuration: one YAML file becomes one frozen, validated object."""

from restem.pipeline.config.errors import ConfigError
from restem.pipeline.config.loading import KEYWORDS, load_config
from restem.pipeline.config.sections import Config, config_from_json, json_schema, push_destination, slug, with_values

__all__ = [
    "KEYWORDS",
    "Config",
    "ConfigError",
    "config_from_json",
    "json_schema",
    "load_config",
    "push_destination",
    "slug",
    "with_values",
]
