"""Runs the pipeline on this machine. TFX's own command line loads this file:

    tfx pipeline create --engine=local --pipeline_path=pipeline/local_runner.py
    tfx run create --engine=local --pipeline_name=digits

RESTEM_CONFIG is the path of the configuration (default: the embedded digits), RESTEM_ROOT the run's folder.
"""

import os
import sys
from pathlib import Path

from restem.visible import say


def main() -> None:
    """The entry point: `tfx pipeline create` loads it with LocalDagRunner.run disabled, `tfx run create` runs it."""
    from contextlib import ExitStack

    from restem.pipeline.config import load_config
    from restem.pipeline.local.clean import clean_after_run
    from restem.pipeline.local.cluster import check_beam
    from restem.pipeline.local.database import check_database
    from restem.pipeline.local.folder import RunFolder, prepare, resolved, training_environment
    from restem.pipeline.local.notification import notifying
    from restem.pipeline.local.runner import LocalRunner
    from restem.pipeline.local.summary import read_outputs, summarise
    from restem.pipeline.pipeline import create_pipeline
    from restem.pipeline.preflight import preflight

    default = Path(__file__).resolve().parent / "configs" / "digits.yaml"
    config = load_config(os.environ.get("RESTEM_CONFIG") or default)
    folder = RunFolder.of(config, os.environ.get("RESTEM_ROOT"))
    os.environ.update(training_environment(config, folder))
    with ExitStack() as stack:
        tell = None

        # Only a real run checks, locks, writes and notifies; a disabled run changes nothing.
        def before() -> None:
            nonlocal tell
            tell = stack.enter_context(notifying(config, str(folder.root)))
            warnings = [*preflight(config, root=folder.root), *check_beam(config)]
            stack.enter_context(folder.locked())
            for warning in filter(None, (*warnings, check_database(folder.root))):
                say(f"restem: {warning}", file=sys.stderr)
            prepare(config, folder)

        def on_step(step: str, state: str, seconds: float) -> None:
            if state == "done":
                folder.trained(step)
            say(f"restem: {step}: {state}", file=sys.stderr)

        runner = LocalRunner(on_step, before=before)
        pipeline = create_pipeline(resolved(config, folder), root=str(folder.root))
        runner.run(pipeline)
        if tell is not None:
            tell(lambda: summarise(read_outputs(pipeline.metadata_connection_config, runner.executions)))
            clean_after_run(config, folder)


if __name__ == "__main__":
    from restem.errors import RestemError

    try:
        main()
    except RestemError as problem:
        sys.exit(f"restem: {problem}")
