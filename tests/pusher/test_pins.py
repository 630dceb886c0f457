"""Versions that are pinned or being read stay."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from restem.errors import RestemError
from restem.pusher.pins import pin, read_pins, unpin
from restem.pusher.prune import plan, prune
from restem.pusher.reading import is_read, reading
from restem.pusher.registry import read_registry

NOW = 1_800_000_000
READ = """
import sys
from restem.pusher.reading import reading
with reading(sys.argv[1]):
    print("reading", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def serving(put, tmp_path) -> str:
    for number in (100, 200, 300, 400, 500):
        put(number)
    return str(tmp_path / "serving")


def planned(serving, **needed):
    return plan(read_registry(serving, now=NOW), 2, now=NOW, **needed)


def gone(serving):
    return [entry.number for entry in planned(serving).remove]


def test_pinned_versions_stay_until_the_pin_is_removed(serving):
    pin(serving, 100, "the trial in Ulm")
    (Path(serving) / "pinned-300").touch()  # by hand
    (Path(serving) / "pinned-x").touch()
    assert read_pins(serving) == {100: "the trial in Ulm", 300: ""}
    reasons = {entry.number: reason for entry, reason in planned(serving).kept}
    assert reasons == {100: "it is pinned: the trial in Ulm", 300: "it is pinned"}
    assert gone(serving) == [200]
    assert unpin(serving, 100)
    assert not unpin(serving, 100)
    assert gone(serving) == [200, 100]


def test_a_pin_between_the_plan_and_the_removal_counts(serving):
    before = planned(serving)
    pin(serving, 200, "")
    assert [entry.number for entry in prune(before)] == [100, 300]


def test_a_version_that_another_process_reads_stays(serving):
    before = planned(serving)
    reader = subprocess.Popen(
        [sys.executable, "-c", READ, f"{serving}/200"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert reader.stdout.readline() == "reading\n"
        assert is_read(f"{serving}/200")
        assert [(entry.number, reason) for entry, reason in planned(serving).kept] == [(200, "it is being read")]
        assert [entry.number for entry in prune(before)] == [100, 300]
    finally:
        reader.communicate()
    # The lock ends with the process.
    assert gone(serving) == [200]
    assert [entry.number for entry in prune(planned(serving))] == [200]


def test_a_version_that_the_configuration_names_stays(serving):
    found = planned(serving, needed={100: "evaluate.baseline names it"})
    assert [(entry.number, reason) for entry, reason in found.kept] == [(100, "evaluate.baseline names it")]


def test_a_version_that_went_cannot_be_read(serving):
    shutil.rmtree(f"{serving}/100")
    with pytest.raises(RestemError, match="this version cannot be read"), reading(f"{serving}/100"):
        pass
