import pytest

from restem.pipeline.environment import doctor


def findings(tmp_path):
    return {finding.name: finding for finding in doctor.examine(tmp_path / "not" / "yet" / "there")}


def test_what_is_fine_has_no_remedy_and_what_is_missing_has_one(tmp_path):
    for finding in findings(tmp_path).values():
        assert (finding.remedy is None) == finding.ok, finding


@pytest.mark.parametrize(("value", "shown"), [(None, "oneDNN on"), ("1", "oneDNN on"), ("0", "oneDNN off")])
def test_it_shows_whether_a_run_would_use_onednn(tmp_path, monkeypatch, value, shown):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if value:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", value)
    assert findings(tmp_path)["instruction sets"].value.endswith(shown)


def test_missing_programs_and_packages_do_not_stop_the_pipeline(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = findings(tmp_path)
    for name in ("GPU", "kubectl", "java", "container engine"):
        assert not found[name].ok
        assert found[name].remedy
    assert doctor.can_run(list(found.values())) == all(f.ok for f in found.values() if f.group == "pipeline")


@pytest.mark.parametrize(
    ("attribute", "value", "name"),
    [
        ("MIN_GLIBC", (99, 0), "C library"),
        ("MIN_FREE_BYTES", 2**60, "free disk"),
        ("PYTHONS", ((3, 99),) * 2, "Python"),
    ],
)
def test_what_stops_the_pipeline(tmp_path, monkeypatch, attribute, value, name):
    monkeypatch.setattr(doctor, attribute, value)
    found = findings(tmp_path)
    assert not found[name].ok
    assert not doctor.can_run(list(found.values()))


def test_a_missing_package_stops_the_pipeline(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package",))
    found = findings(tmp_path)
    assert found["no-such-package"].value == "not installed"
    assert not doctor.can_run(list(found.values()))
