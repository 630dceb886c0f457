"""The configuration: one YAML file becomes one frozen, validated object."""

from pipeline.config.errors import ConfigError
from pipeline.config.loading import KEYWORDS, load_config
from pipeline.config.sections import Config, config_from_json, json_schema, slug, with_values

__all__ = ["KEYWORDS", "Config", "ConfigError", "config_from_json", "json_schema", "load_config", "slug", "with_values"]
