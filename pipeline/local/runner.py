"""TFX's local runner, with a callback for each step, and a check of the files that pass from step to step."""

import copy
import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import local_dag_runner, runner_utils
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration import pipeline_pb2

from restem.pipeline.local.cache import adopt, cache_of
from restem.pipeline.local.executions import of_all, of_this_run_only
from restem.pipeline.local.results import Results, forget_removed

# Before these steps the files are read again: what they approve and release must be what was made.
JUDGING = ("Evaluator", "Pusher")

OnStep = Callable[[str, str, float], None]  # node id, "started" | "done" | "cached", seconds


class LocalRunner(local_dag_runner.LocalDagRunner):
    """TFX's local runner, with a callback for each step; `executions` has the finished execution ids by node id."""

    def __init__(
        self, on_step: OnStep, before: Callable[[], object] = lambda: None, *, recompute: bool = False
    ) -> None:
        super().__init__()
        self._results = Results(recompute=recompute)
        self._uris: dict[tuple[str, str], list[str]] = {}  # by step and output
        self.executions: dict[str, int] = {}
        self._on_step = on_step
        self._before = before

    def run_with_ir(self, pipeline: pipeline_pb2.Pipeline, run_options: pipeline_pb2.RunOptions | None = None) -> None:
        """Runs one step at a time with TFX's runner; each step finds its inputs in the metadata database."""
        self._before()
        database = _connection(pipeline).sqlite.filename_uri
        root = os.path.dirname(database)
        adopt(database, root)
        forget_removed(root)
        with cache_of(root, self._results.usable), of_this_run_only():
            self._run_steps(pipeline, run_options)

    def _run_steps(self, pipeline: pipeline_pb2.Pipeline, run_options: pipeline_pb2.RunOptions | None) -> None:
        run_id = datetime.now().isoformat()
        parameters = {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
        runtime_parameter_utils.substitute_runtime_parameter(pipeline, parameters)
        for node in pipeline.nodes:
            step = node.pipeline_node.node_info.id
            single = copy.deepcopy(pipeline)
            del single.nodes[:]
            single.nodes.append(node)
            self._on_step(step, "started", 0.0)
            start = time.monotonic()
            inputs = self._inputs(node)
            try:
                self._results.check(inputs, again=step in JUDGING)
                try:
                    super().run_with_ir(single, run_options)
                except Exception as error:
                    self._results.explain(error, inputs)
                    raise
                state = self._finish(pipeline, step, run_id)
            except Exception as error:
                error.__dict__["step"] = step  # a sentence for the user names it
                raise
            self._on_step(step, state, time.monotonic() - start)

    def _finish(self, pipeline: pipeline_pb2.Pipeline, step: str, run_id: str) -> str:
        """Finds the step's execution. TFX's launcher only logs missing inputs: here they are an error."""
        with metadata.Metadata(_connection(pipeline)) as handle:
            run = handle.store.get_context_by_type_and_name(constants.PIPELINE_RUN_CONTEXT_TYPE_NAME, run_id)
            node_name = f"{pipeline.pipeline_info.id}.{step}"
            node = handle.store.get_context_by_type_and_name(constants.NODE_CONTEXT_TYPE_NAME, node_name)
            executions = of_all(handle.store, [run, node]) if run and node else []
        states: Any = type(executions[0]).State if executions else None
        if not executions or executions[-1].last_known_state not in (states.COMPLETE, states.CACHED):
            raise RuntimeError("its inputs are missing: an earlier step did not produce them")
        self.executions[step] = executions[-1].id
        cached = executions[-1].last_known_state == states.CACHED
        with metadata.Metadata(_connection(pipeline)) as handle:
            outputs = execution_lib.get_output_artifacts(handle, executions[-1].id)
        for key, artifacts in outputs.items():
            self._uris[step, key] = [artifact.uri for artifact in artifacts]
            if not cached:
                for uri in self._uris[step, key]:
                    self._results.written(uri)
        return "cached" if cached else "done"

    def _inputs(self, node: pipeline_pb2.Pipeline.PipelineOrNode) -> list[str]:
        """The folders of the results that a step reads, without those of steps that have not run."""
        channels = [channel for each in node.pipeline_node.inputs.inputs.values() for channel in each.channels]
        read = [(channel.producer_node_query.id, channel.output_key) for channel in channels]
        return list(dict.fromkeys(uri for each in read for uri in self._uris.get(each, [])))


def _connection(pipeline: pipeline_pb2.Pipeline) -> Any:
    """The metadata database's ConnectionConfig."""
    deployment = runner_utils.extract_local_deployment_config(pipeline).metadata_connection_config
    return getattr(deployment, deployment.WhichOneof("connection_config"))
