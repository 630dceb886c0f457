"""Watches the jobs of Beam's portable runners (Flink, Spark, Prism): what one waits for, and that it ends with the run.

Beam submits a job to a server and waits, without a word, for its last state. Here the job is looked at every second:
its states are told, a wait is explained, and a job that cannot go on is cancelled. A job must also end when the run
does: the worker process cancels it when it is stopped, and its parent when the worker was killed (`cancel`).
"""

import difflib
import inspect
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from restem.errors import RestemError
from restem.pipeline.config.beam import BeamConfig
from restem.pipeline.local import flink
from restem.pipeline.local.endings import at_end

LOGGER = logging.getLogger("restem")
EVERY_SECONDS = 1.0
FIRST_WORD_SECONDS = 15.0
NEXT_WORD_SECONDS = 60.0
ANSWER_SECONDS = 5.0
HANGS_SECONDS = 30.0
# Beam's states without a further one.
ENDED = ("DONE", "FAILED", "CANCELLED", "DRAINED", "UPDATED")
Emit = Callable[[dict], None]


@dataclass(frozen=True)
class Job:
    """A job at a server.

    Attributes:
      endpoint: HOST:PORT of the job server; empty: it is not known, or ends with the worker process and its jobs.
      id: the job server's name for it.
      name: unique; Flink's own server shows it too.
      master: Flink's address; empty with other runners.
    """

    endpoint: str
    id: str
    name: str
    master: str


@contextmanager
def watched_jobs(beam: BeamConfig, emit: Emit) -> Iterator[None]:
    """Watches every job that is submitted in the block; nothing with runner `direct`.

    Args:
      beam: the section of the configuration.
      emit: called with {"event": "job", "state": ..., and the fields of `Job`} whenever a job's state changes.
    """
    if beam.runner in ("direct", "dask", "dataflow"):
        yield
        return
    from apache_beam.options import pipeline_options
    from apache_beam.runners.portability import portable_runner

    runner: Any = portable_runner.PortableRunner
    handle: Any = portable_runner.JobServiceHandle
    run, describe = runner.run_portable_pipeline, handle.get_pipeline_options
    submitted: list[str] = []

    def run_portable_pipeline(self: Any, pipeline: Any, options: Any) -> Any:
        named = options.view_as(pipeline_options.GoogleCloudOptions)
        named.job_name = named.job_name or f"restem-{uuid.uuid4().hex[:12]}"
        master = options.view_as(pipeline_options.FlinkRunnerOptions).flink_master if beam.runner == "flink" else ""
        result = run(self, pipeline, options)
        submitted.append(result._job_id)
        ends_with_us = beam.runner == "prism" and not options.view_as(pipeline_options.PortableOptions).job_endpoint
        endpoint = "" if ends_with_us else _endpoint(result._job_service)
        job = Job(endpoint, result._job_id, named.job_name, master)
        return _Watch(result, job, beam, emit).start()

    def get_pipeline_options(self: Any) -> Any:
        if not submitted:
            try:
                server = announced(self.job_service)
            except Exception:
                LOGGER.warning("the job server does not tell which arguments it knows", exc_info=True)
            else:
                refuse_unknown(beam, server)
        return describe(self)

    runner.run_portable_pipeline, handle.get_pipeline_options = run_portable_pipeline, get_pipeline_options
    try:
        yield
    finally:
        runner.run_portable_pipeline, handle.get_pipeline_options = run, describe


def _endpoint(service: Any) -> str:
    """HOST:PORT that a gRPC stub talks to."""
    target = getattr(getattr(service, "Cancel", None), "_target", b"")
    text = target.decode() if isinstance(target, bytes) else str(target)
    return text.removeprefix("dns:").lstrip("/")


# --- arguments -----------------------------------------------------------------------------------------------------


def announced(service: Any) -> set[str]:
    """The options that a job server has of its own, with two hyphens."""
    from apache_beam.portability.api import beam_job_api_pb2

    request = beam_job_api_pb2.DescribePipelineOptionsRequest()
    return {f"--{option.name}" for option in service.DescribePipelineOptions(request, timeout=60).options}


def announced_at(request: dict, emit: Emit) -> list[str]:
    """A task: the options of the job server at `request["endpoint"]`."""
    return sorted(announced(_service(request["endpoint"])))


def refuse_unknown(beam: BeamConfig, server: set[str]) -> None:
    """Refuses what neither Beam nor the job server knows.

    Raises:
        RestemError: with the argument and its place in beam.args.
    """
    from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

    parser = _BeamArgumentParser(allow_abbrev=False)
    for options in {str(cls): cls for cls in PipelineOptions.__subclasses__()}.values():
        options._add_argparse_args(parser)
    known = server | {name for action in parser._actions for name in action.option_strings}
    for number, argument in enumerate(beam.args):
        name = argument.partition("=")[0]
        if name.startswith("--") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise RestemError(
                "neither Beam nor the job server knows this argument, so that it would be dropped",
                where=f"beam.args[{number}]",
                given=name,
                remedy=f"Did you mean {near[0]}?" if near else "Remove it",
            )


# --- a job ---------------------------------------------------------------------------------------------------------


class _Watch:
    """Looks at one job until it ends; `start` returns Beam's result, whose `wait_until_finish` explains failures."""

    def __init__(self, result: Any, job: Job, beam: BeamConfig, emit: Emit) -> None:
        self._result, self._job, self._beam, self._emit = result, job, beam, emit
        self._wait = result.wait_until_finish
        self._ended = threading.Event()
        self._telling = threading.Lock()
        self._state = ""
        self._why: str | None = None

    def start(self) -> Any:
        at_end.append(self._cancel)
        self._tell("SUBMITTED")
        threading.Thread(target=self._look, name="restem-job", daemon=True).start()
        self._result.wait_until_finish = self._wait_until_finish
        return self._result

    def _wait_until_finish(self, duration: int | None = None) -> Any:
        try:
            return self._wait(duration)
        except BaseException as error:
            if self._why is not None:
                raise RestemError(self._why) from error
            if self._read_state() not in ("", *ENDED):
                self._cancel()
            raise
        finally:
            at_end.remove(self._cancel)
            self._tell("ENDED")

    def _look(self) -> None:
        begun = time.monotonic()
        moved, told, seen = begun, begun - NEXT_WORD_SECONDS + FIRST_WORD_SECONDS, None
        while not self._ended.wait(EVERY_SECONDS):
            state, now = self._read_state(), time.monotonic()
            if state and state != self._state:
                self._state = state
                self._tell(state)
                LOGGER.info("Beam's job is %s", state)
            progress = self._progress()
            if (state, progress) != seen:
                seen, moved, told = (state, progress), now, now - NEXT_WORD_SECONDS + FIRST_WORD_SECONDS
                continue
            too_long = now - moved >= self._beam.patience
            if not too_long and now - told < NEXT_WORD_SECONDS:
                continue
            missing, certain = self._missing(state)
            if certain and too_long:
                self._why = f"Beam's job made no progress for {now - moved:.0f} s, and was cancelled: {missing}"
                self._cancel()
                if not self._ended.wait(HANGS_SECONDS):  # a server that does not even answer that
                    self._emit({"event": "failed", "message": self._why, "fixable": True})
                return
            if now - told >= NEXT_WORD_SECONDS:
                told = now
                limit = f"; it is cancelled after {self._beam.patience} s (beam.patience)" if certain else ""
                LOGGER.info("no progress for %.0f s: %s%s", now - moved, missing, limit)

    def _missing(self, state: str) -> tuple[str, bool]:
        """What the job waits for, and whether it is certain that it does not work meanwhile."""
        if self._job.master:
            return flink.missing(self._job.master, self._job.name, self._beam.parallelism or 1)
        if not state:
            return f"the job server at {self._job.endpoint} does not answer", True
        if state != "RUNNING":
            return f"the job server at {self._job.endpoint} has the job as {state}, and has not started it", True
        told = "the job runs, but its figures did not change: its workers are starting, are missing, or have much to do"
        return told, self._beam.runner == "prism"  # others may have no figures

    def _progress(self) -> Any:
        """Anything that changes while the job works."""
        if self._job.master:
            return flink.progress(self._job.master, self._job.name)
        from apache_beam.portability.api import beam_job_api_pb2

        request = beam_job_api_pb2.GetJobMetricsRequest(job_id=self._job.id)
        try:
            found = _call(self._result._job_service.GetJobMetrics, request).metrics
        except Exception:  # the server went, or it has none
            return None
        # In any order: Prism's changes.
        return frozenset((one.urn, one.payload) for one in (*found.attempted, *found.committed))

    def _read_state(self) -> str:
        from apache_beam.portability.api import beam_job_api_pb2

        request = beam_job_api_pb2.GetJobStateRequest(job_id=self._job.id)
        try:
            state = _call(self._result._job_service.GetState, request).state
        except Exception:  # the server went
            return ""
        return beam_job_api_pb2.JobState.Enum.Name(state)

    def _tell(self, state: str) -> None:
        with self._telling:
            if not self._ended.is_set():  # nothing follows the last one
                self._emit({"event": "job", "state": state, **asdict(self._job)})
            if state == "ENDED":
                self._ended.set()

    def _cancel(self) -> None:
        from apache_beam.portability.api import beam_job_api_pb2

        try:
            request = beam_job_api_pb2.CancelJobRequest(job_id=self._job.id)
            _call(self._result._job_service.Cancel, request)
        except Exception:
            LOGGER.warning("the job server could not cancel the job %s", self._job.id, exc_info=True)
        if self._job.master:
            flink.cancel(self._job.master, self._job.name)


def _call(method: Callable[..., Any], request: Any) -> Any:
    """Calls a job server's method."""
    # With --flink_submit_uber_jar the server is an object of this process, whose methods take no timeout.
    return method(request) if inspect.ismethod(method) else method(request, timeout=ANSWER_SECONDS)


# --- after a worker process was killed -----------------------------------------------------------------------------


def cancel(request: dict, emit: Emit) -> bool:
    """A task: cancels a job whose client died; `request` has the fields of `Job`. Whether it was told to a server."""
    job = Job(**{key: request[key] for key in ("endpoint", "id", "name", "master")})
    told = False
    if job.endpoint:
        from apache_beam.portability.api import beam_job_api_pb2

        try:
            _service(job.endpoint).Cancel(beam_job_api_pb2.CancelJobRequest(job_id=job.id), timeout=ANSWER_SECONDS)
            told = True
        except Exception:  # a job server that the worker had started may have died with it
            LOGGER.debug("no job server at %s", job.endpoint, exc_info=True)
    return (bool(job.master) and flink.cancel(job.master, job.name)) or told


def _service(endpoint: str) -> Any:
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2_grpc

    channel = grpc.insecure_channel(endpoint)
    grpc.channel_ready_future(channel).result(timeout=ANSWER_SECONDS)
    return beam_job_api_pb2_grpc.JobServiceStub(channel)
