"""Finds the executions of a run without reading those of all earlier runs.

For each input of each step, TFX reads all executions of the pipeline, of the run and of the step, and intersects them:
each run of a root would take longer than the one before. Its filter queries would let the database do that, but
ml-metadata's wheels have none (TFX logs "Fallback to non-ZetaSQL contexts execution query").
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from tfx.dsl.compiler import constants
from tfx.orchestration.portable.input_resolution import channel_resolver
from tfx.orchestration.portable.mlmd import execution_lib


def of_all(store: Any, contexts: Iterable[Any]) -> list[Any]:
    """The executions that belong to all contexts, one of which is a run, in the order of their numbers.

    Args:
        store: ML Metadata's store.
        contexts: of it.
    """
    wanted = {context.id: context for context in contexts}
    run_type = store.get_context_type(constants.PIPELINE_RUN_CONTEXT_TYPE_NAME).id
    run = next(context for context in wanted.values() if context.type_id == run_type)
    found = [
        execution
        for execution in store.get_executions_by_context(run.id)
        if wanted.keys() <= {context.id for context in store.get_contexts_by_execution(execution.id)}
    ]
    return sorted(found, key=lambda execution: execution.id)


@contextlib.contextmanager
def of_this_run_only() -> Iterator[None]:
    """Changes how TFX looks for executions while the context lasts: it always asks for those of a run."""
    by_channel = channel_resolver._get_executions_by_all_contexts
    by_step = execution_lib.get_executions_associated_with_all_contexts
    channel_resolver._get_executions_by_all_contexts = of_all
    execution_lib.get_executions_associated_with_all_contexts = lambda handle, contexts: of_all(handle.store, contexts)
    try:
        yield
    finally:
        channel_resolver._get_executions_by_all_contexts = by_channel
        execution_lib.get_executions_associated_with_all_contexts = by_step
