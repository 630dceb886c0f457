"""What the image installs is what requirements.lock has, less what only developers need."""

import re

import pytest

from tests.image.conftest import LOCKS, REPOSITORY


def entries(path) -> dict[str, str]:
    """Requirement line (name, version, marker) -> its hashes' text."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = re.findall(
        r"^(\S[^\\\n]*?) *\\\n((?:[ \t]+--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, flags=re.MULTILINE
    )
    assert len(found) == len(re.findall(r"^[a-z0-9]", text, flags=re.MULTILINE)), "an entry without hashes"
    return dict(found)


def names(path) -> set[str]:
    return {line.partition("==")[0] for line in entries(path)}


@pytest.mark.parametrize("lock", ["packages.lock", "build.lock"])
def test_versions_and_hashes_are_those_of_requirements_lock(lock):
    whole = entries(REPOSITORY / "requirements.lock")
    for line, hashes in entries(LOCKS / lock).items():
        assert set(re.findall(r"[0-9a-f]{64}", whole[line])) == set(re.findall(r"[0-9a-f]{64}", hashes)), line


def test_what_only_developers_need_is_left_out():
    packages = names(LOCKS / "packages.lock")
    assert packages >= {"tfx", "tensorflow", "keras", "apache-beam", "kfp", "kfp-kubernetes"}
    assert not packages & {"pytest", "hypothesis", "mypy", "ruff", "jax", "jaxlib", "pip", "build"}


def test_the_image_for_gpus_has_the_libraries_of_this_tensorflow_beside_it():
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    extra = {
        requirement.name: requirement
        for requirement in map(Requirement, requires("tensorflow"))
        if requirement.marker
        and not requirement.marker.evaluate({"extra": ""})
        and requirement.marker.evaluate({"extra": "and-cuda"})
    }
    pinned = dict(line.split("==") for line in entries(LOCKS / "gpu.lock"))
    assert set(pinned) == set(extra), "tensorflow[and-cuda] and nothing that packages.lock has"
    for name, version in pinned.items():
        assert extra[name].specifier.contains(version), name
