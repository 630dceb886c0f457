"""Tasks for run_worker that submit a small job to a job server of Beam."""

import os
import signal
from pathlib import Path

from restem.pipeline.config.beam import BeamConfig


def submit(request, emit):
    """Runs a job with the BeamConfig `request["beam"]` whose only element does what `request["does"]` says."""
    import apache_beam as beam

    from restem.pipeline.local.jobs import watched_jobs

    config = BeamConfig.model_validate(request["beam"])
    with watched_jobs(config, emit), beam.Pipeline(argv=list(config.pipeline_args())) as pipeline:
        _ = pipeline | beam.Create([request["does"]]) | beam.Map(do)
    return "done"


def do(what):
    """In the worker of Beam: ends, ends it, or waits until a file is there."""
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    while what != "end" and not Path(what).exists():
        pass
    return what
