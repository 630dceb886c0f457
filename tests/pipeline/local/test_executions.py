"""A run's executions are found as TFX finds them, without reading those of other runs."""

import itertools

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration.portable.input_resolution import channel_resolver
from tfx.orchestration.portable.mlmd import execution_lib

from restem.pipeline.local.executions import of_all, of_this_run_only
from tests.pipeline.local.metadata import Database

RUNS, STEPS = 30, ("Make", "Use", "Judge")


@pytest.fixture
def contexts(tmp_path):
    """(store, contexts by name) of a root with 30 runs of three steps; the last run has not reached the third."""
    database = Database(tmp_path / "root")
    pipeline = database.store.put_context_type(mlmd.ContextType(name="pipeline"))
    kinds = {"all": pipeline, **{step: database.kinds["node"] for step in STEPS}}
    kinds |= {f"run {number}": database.kinds["pipeline_run"] for number in range(RUNS)}
    made = [mlmd.Context(name=name, type_id=kind) for name, kind in kinds.items()]
    ids = dict(zip(kinds, database.store.put_contexts(made), strict=True))
    for number, step in itertools.product(range(RUNS), STEPS):
        if (number, step) != (RUNS - 1, "Judge"):
            (execution,) = database.store.put_executions([mlmd.Execution(type_id=database.step)])
            of = [ids["all"], ids[f"run {number}"], ids[step]]
            database.store.put_attributions_and_associations(
                [], [mlmd.Association(context_id=context, execution_id=execution) for context in of]
            )
    (every,) = [database.store.get_contexts()]
    return database.store, {context.name: context for context in every}


class Counting:
    """A store that counts the executions that are read."""

    def __init__(self, store):
        self._store, self.read = store, 0

    def __getattr__(self, name):
        return getattr(self._store, name)

    def get_executions_by_context(self, context):
        found = self._store.get_executions_by_context(context)
        self.read += len(found)
        return found


def test_the_same_executions_are_found_and_those_of_other_runs_are_not_read(contexts):
    store, named = contexts
    tfx = channel_resolver._get_executions_by_all_contexts
    for run, step in itertools.product(("run 0", "run 7", f"run {RUNS - 1}"), STEPS):
        asked = [named["all"], named[run], named[step]]
        counting = Counting(store)
        found = of_all(counting, asked)
        assert [one.id for one in found] == sorted(one.id for one in tfx(store, asked))
        assert len(found) == (0 if (run, step) == (f"run {RUNS - 1}", "Judge") else 1)
        assert counting.read <= len(STEPS)


def test_tfx_uses_it_in_a_run_and_is_as_before_after_it(contexts):
    store, named = contexts
    before = channel_resolver._get_executions_by_all_contexts, execution_lib.get_executions_associated_with_all_contexts
    asked = [named["all"], named["run 3"], named["Use"]]
    with of_this_run_only():
        by_channel = channel_resolver._get_executions_by_all_contexts(store, asked)
        handle = type("Handle", (), {"store": store})()
        by_step = execution_lib.get_executions_associated_with_all_contexts(handle, asked)
        assert by_channel == by_step == of_all(store, asked)
    after = channel_resolver._get_executions_by_all_contexts, execution_lib.get_executions_associated_with_all_contexts
    assert after == before
