import platform

import pytest

from restem.processor import describe_processor, instruction_sets


def test_instruction_sets_are_named_one_by_one():
    sets = instruction_sets()
    assert len(set(sets)) == len(sets)
    if platform.machine() in ("x86_64", "AMD64"):
        assert "SSE42" in sets  # NumPy requires it.
        assert not any("SKX" in name for name in sets)


@pytest.mark.parametrize(
    ("onednn", "limit", "expected"),
    [(True, None, "oneDNN on"), (True, "AVX2", "oneDNN on, at most AVX2 (ONEDNN_MAX_CPU_ISA)"), (False, "AVX2", "off")],
)
def test_the_description_names_what_affects_rounding(monkeypatch, onednn, limit, expected):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if limit:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    text = describe_processor(onednn=onednn)
    assert text.startswith(f"{platform.machine()} with ")
    assert text.endswith(expected)
