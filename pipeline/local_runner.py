"""Runs the pipeline on this machine. Also the file that TFX's own command line takes:

    tfx pipeline create --engine=local --pipeline_path=pipeline/local_runner.py
    tfx run create --engine=local --pipeline_name=digits

There RESTEM_CONFIG names the configuration (default: the embedded digits) and RESTEM_ROOT the run's folder.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    """What `tfx pipeline create` loads (with LocalDagRunner.run switched off) and `tfx run create` executes."""
    from contextlib import ExitStack

    from restem.pipeline.config import load_config
    from restem.pipeline.local.folder import RunFolder, prepare, resolved
    from restem.pipeline.local.runner import LocalRunner
    from restem.pipeline.pipeline import create_pipeline

    default = Path(__file__).resolve().parent / "configs" / "digits.yaml"
    config = load_config(os.environ.get("RESTEM_CONFIG") or default)
    folder = RunFolder.of(config, os.environ.get("RESTEM_ROOT"))
    with ExitStack() as stack:
        # Only a real run locks and writes; the one that is switched off touches nothing.
        runner = LocalRunner(
            lambda step, state, seconds: print(f"restem: {step}: {state}", file=sys.stderr),
            before=lambda: (stack.enter_context(folder.locked()), prepare(config, folder)),
        )
        runner.run(create_pipeline(resolved(config, folder), root=str(folder.root)))


if __name__ == "__main__":
    from restem.errors import RestemError

    try:
        main()
    except RestemError as problem:
        sys.exit(f"restem: {problem}")
