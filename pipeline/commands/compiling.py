"""Compiles a configuration for Kubeflow, for the commands that need it."""

import sys

from restem.pipeline.config import Config
from restem.pipeline.kubeflow.compiler.paths import in_the_cluster
from restem.pipeline.local.cluster import check_arguments
from restem.pipeline.local.worker import run_in_worker
from restem.pipeline.preflight import check_comparison
from restem.pipeline.preflight_network import check_stem
from restem.visible import say


def compile_config(config: Config) -> str:
    """Compiles in a separate process, because TFX takes fifteen seconds to load and prints many messages.

    Args:
        config: as `load_config` returned it.

    Returns:
        The YAML text; the same for the same configuration and code.

    Raises:
        ConfigError: before compiling: the image is missing, or the steps cannot reach a path.
        RestemError: before compiling: sections that do not fit each other.
        WorkFailed: TFX rejected the pipeline.
    """
    in_the_cluster(config)
    if config.notify.webhook:
        say(
            "restem: the compiled pipeline has notify.webhook as it is written. If the address is itself a secret, use "
            "notify.webhook_env and notify.kubernetes_secret instead.",
            file=sys.stderr,
        )
    for warning in check_arguments(config):
        say(f"restem: {warning}", file=sys.stderr)
    check_stem(config)
    check_comparison(config)
    return run_in_worker("restem.pipeline.local.tasks:compile_pipeline", {"config": config.model_dump_json()})
