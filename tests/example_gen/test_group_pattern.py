"""Regular expressions for data.group."""

import pytest

from restem.errors import RestemError
from restem.example_gen.group_pattern import compiled_group


@pytest.mark.parametrize("pattern", [r"((?:a+)+)b", r"((?:\w+\s*)*)x", r"(.*).*.*.*.*x", r"((?:ab|a)*)c"])
def test_costly_patterns_for_groups_are_refused(pattern):
    with pytest.raises(RestemError, match="may take very long"):
        compiled_group(pattern)


@pytest.mark.parametrize("pattern", [r"patient-(\d+)", r"^([^/]+)/", r"((?:IM-|person)\d+)(?=[ _-])", r"(\w+)_\d+_\d+"])
def test_usual_patterns_for_groups_are_taken(pattern):
    assert compiled_group(pattern).groups == 1
