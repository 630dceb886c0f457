"""Twenty nights with kills, in steps and in the cleaning: the disk stays level, and every release is explained.

`make soak` does the same with real runs, for a year.
"""

import random
from itertools import count

import pytest

from restem.errors import RestemError
from restem.pipeline.local.clean import plan_clean
from restem.pipeline.local.folder import RunFolder
from restem.pipeline.local.past_runs import find_runs
from restem.pusher.registry import read_registry
from tests.pipeline.local.nights import ALL, EXPLAINING, NOW, STEPS, Nights, killed_at, release, remove

RUNS, VERSIONS = 2, 3
RETENTION = f"{{runs: {RUNS}, versions: {VERSIONS}}}"
MOST_KILLS = 2  # of one night
SEED = 20261127


def test_twenty_nights(nights, config, put):
    chance, numbers = random.Random(SEED), count(100)
    retention = config(RETENTION)
    computed = None  # the run whose results the quiet nights take from the cache
    folders = []
    for night in range(20):
        new = computed is None or chance.random() < 0.4
        for _ in range(chance.randrange(MOST_KILLS + 1) if night < 10 else 0):
            nights.run(upto=chance.choice([step for step in STEPS if step != "Pusher"]))
        finished = nights.run(cached_from=None if new else computed)
        if new:
            computed = finished
            release(put, next(numbers), finished)
        with killed_at(chance.randrange(120)):
            remove(nights, retention)
        assert nights.there(finished) == ALL, "a kill of the cleaning takes nothing that is needed"
        assert remove(nights, retention).problems == ()
        assert plan_clean(retention, RunFolder(nights.root), now=NOW).remove == ()
        assert nights.there(finished) == ALL
        check_releases(nights)
        folders.append(sum(1 for path in nights.root.glob("pipeline/*/*/*") if path.is_dir()))
    # What two whole runs, three explained versions and the working folders of both runs need.
    assert max(folders) <= RUNS * (len(ALL) + len(STEPS)) + VERSIONS * len(EXPLAINING) + len(ALL)


def check_releases(nights: Nights) -> None:
    """At most so many versions are there, and of each the report and the verdict."""
    entries = read_registry(str(nights.root / "serving" / "own"), now=NOW)
    assert 1 <= len(entries) <= VERSIONS
    for entry in entries:
        (run,) = find_runs(f"{nights.root}@{entry.release.run}")
        assert nights.there(run.start) >= EXPLAINING
        try:
            run.output("Report", "report"), run.output("Evaluator", "blessing")
        except RestemError as error:
            pytest.fail(f"version {entry.number} is not explained: {error}")
