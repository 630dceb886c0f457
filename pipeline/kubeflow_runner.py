"""Compiles the pipeline for Kubeflow Pipelines v2. TFX's own command line loads this file:

    tfx pipeline compile --engine=vertex --pipeline_path=pipeline/kubeflow_runner.py

(`--engine=kubeflow` cannot work in TFX 1.21: it imports a module that was removed.) RESTEM_CONFIG is the path of the
configuration, RESTEM_OUT the file to write (default: <name>.yaml in the current folder).
"""

import os
import sys
from pathlib import Path
from typing import Any

from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner
from tfx.orchestration.pipeline import Pipeline


class KubeflowRunner(kubeflow_v2_dag_runner.KubeflowV2DagRunner):
    """TFX's compiler with output for the open-source server."""

    def __init__(self, config: Any, out: Path) -> None:
        """Args: config: the result of `in_the_cluster`; out: the YAML file to write."""
        from restem.pipeline.kubeflow.compiler.compile import runner_config

        super().__init__(runner_config(config), output_dir=str(out.parent), output_filename=out.name)
        self._restem_config = config
        self._out = out

    def run(self, pipeline: Pipeline, **_unused: object) -> None:
        """Compiles and writes."""
        from restem.pipeline.kubeflow.compiler.compile import to_yaml

        job = super().run(pipeline, write_out=False)
        if job is not None:  # TFX's command line may disable the compiler.
            self._out.write_text(to_yaml(job, self._restem_config), encoding="utf-8")


def main() -> None:
    """The entry point for `tfx pipeline compile`."""
    from restem.pipeline.config import load_config
    from restem.pipeline.kubeflow.compiler.paths import in_the_cluster
    from restem.pipeline.pipeline import create_pipeline

    config = in_the_cluster(load_config(os.environ.get("RESTEM_CONFIG", "")))
    out = Path(os.environ.get("RESTEM_OUT") or f"{config.name}.yaml").absolute()
    KubeflowRunner(config, out).run(create_pipeline(config, root="/", prunes=True))


if __name__ == "__main__":
    from restem.errors import RestemError

    try:
        main()
    except RestemError as problem:
        sys.exit(f"restem: {problem}")
