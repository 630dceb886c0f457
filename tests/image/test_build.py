"""How `make image` calls the engine, with fake docker and podman programs."""

import configparser
import subprocess

import pytest

from tests.image.conftest import LOCKS, REPOSITORY

INDEX = "https://someone:password@packages.example.org/simple"


def build(environment: dict[str, str], **settings: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [LOCKS / "build.sh"], env={**environment, **settings}, capture_output=True, text=True, timeout=60
    )


def test_docker_is_tried_first_and_the_image_is_shown_with_its_size(engines, tmp_path):
    done = build(engines(docker=0, podman=0))
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text()
    assert calls.startswith("docker build")
    assert "podman" not in calls
    assert done.stdout.splitlines()[-1] == f"image: restem:{version()}, 1234 MB"
    assert f"VERSION={version()}" in calls
    assert "REVISION=" in calls


def test_podman_is_used_if_the_docker_daemon_does_not_answer(engines, tmp_path):
    done = build(engines(docker=1, podman=0), ACCELERATOR="gpu", BASE_IMAGE="base:1", BUILD_IMAGE="build:1")
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text()
    assert "docker" not in calls
    for part in ("ACCELERATOR=gpu", "BASE_IMAGE=base:1", "BUILD_IMAGE=build:1", f"--tag restem:{version()}-gpu"):
        assert part in calls


def test_without_an_engine_it_says_what_to_install(engines):
    done = build(engines(docker=1))
    assert done.returncode == 1
    assert "no container engine works here" in done.stderr
    assert "'docker info' fails: the reason of docker" in done.stderr
    assert "apt-get install podman" in done.stderr


def test_an_unknown_accelerator_is_refused(engines, tmp_path):
    done = build(engines(docker=0), ACCELERATOR="tpu")
    assert done.returncode == 2
    assert "cpu or gpu, not 'tpu'" in done.stderr
    assert not (tmp_path / "calls").exists()


def test_the_package_index_is_passed_as_a_secret(engines, tmp_path):
    (tmp_path / "ca.pem").write_text("this machine's certificates")
    done = build(
        engines(podman=0),
        PIP_INDEX_URL=INDEX,
        PIP_EXTRA_INDEX_URL="https://a.example.org https://b.example.org",
        PIP_FIND_LINKS="/opt/only/here",
        PIP_CERT=str(tmp_path / "ca.pem"),
    )
    assert done.returncode == 0, done.stderr
    assert "password" not in (tmp_path / "calls").read_text() + done.stdout + done.stderr
    secrets = (tmp_path / "secrets" / "pip.conf").read_text()
    assert f"index-url = {INDEX}\n" in secrets
    assert "extra-index-url = https://a.example.org https://b.example.org\n" in secrets
    assert (tmp_path / "secrets" / "ca.pem").read_text() == "this machine's certificates"
    assert "/opt/only/here" not in secrets, "the build cannot see folders of this machine"


def test_the_environment_overrides_pips_configuration_file(engines, tmp_path):
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://file.example.org/simple\nextra-index-url =\n  https://a.example.org\n"
        "  https://b.example.org\n[install]\ntrusted-host = packages.example.org\n"
    )
    done = build(engines(podman=0), PIP_CONFIG_FILE=str(tmp_path / "pip.conf"), PIP_INDEX_URL=INDEX)
    assert done.returncode == 0, done.stderr
    read = configparser.RawConfigParser()
    read.read(tmp_path / "secrets" / "pip.conf")  # raises an error for duplicate keys
    assert read["global"]["index-url"] == INDEX
    assert read["global"]["extra-index-url"].split() == ["https://a.example.org", "https://b.example.org"]
    assert read["global"]["trusted-host"] == "packages.example.org"


def test_a_failed_build_shows_a_remedy(engines, tmp_path):
    environment = engines(podman=0)
    podman = tmp_path / "bin" / "podman"
    podman.write_text(podman.read_text() + "echo cannot pull python >&2; exit 125\n")
    done = build(environment)
    assert done.returncode == 1
    assert "cannot pull" in done.stderr
    assert "BASE_IMAGE=... BUILD_IMAGE=... make image" in done.stderr


@pytest.mark.parametrize("script", sorted(LOCKS.glob("*.sh")), ids=lambda path: path.name)
def test_bash_can_read_the_script(script):
    assert subprocess.run(["bash", "-n", script], capture_output=True).stderr == b""


def version() -> str:
    (line,) = [line for line in (REPOSITORY / "setup.py").read_text().splitlines() if line.startswith("    version=")]
    return line.split('"')[1]
