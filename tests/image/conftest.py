"""Fixtures: containers of the image that `make test-image` built, and fake engines."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LOCKS = REPOSITORY / "pipeline" / "environment" / "image"
# As strict as a cluster can be: only /tmp is writable, no capabilities, no network, and an unknown user.
LOCKED = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none"]
STRICT = ["--user=12345:0", *LOCKED]

FAKE_ENGINE = """#!/bin/sh
if [ $1 = info ]; then echo "the reason of {name}" >&2; exit {info}; fi
[ $1 = image ] && echo 1234567890 && exit
echo {name} "$@" >> {folder}/calls
for part in "$@"; do
  case $part in id=*,src=*) mkdir -p {folder}/secrets; cp "${{part##*src=}}" {folder}/secrets ;; esac
done
"""


class Image:
    """The image under test and the engine that runs it."""

    def __init__(self, engine: str, name: str) -> None:
        self.engine, self.name = engine, name

    def run(self, *command: str, options: list[str] = STRICT, timeout: float = 300) -> str:
        """The output of a command in a fresh container; an AssertionError if it failed."""
        done = self.try_run(*command, options=options, timeout=timeout)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout.strip()

    def try_run(self, *command: str, options: list[str] = STRICT, timeout: float = 300) -> subprocess.CompletedProcess:
        """The same, but any exit code is accepted."""
        return subprocess.run(
            [self.engine, "run", "--rm", *options, self.name, *command], capture_output=True, text=True, timeout=timeout
        )

    def python(self, code: str, **options) -> str:
        """The output of a Python program in a fresh container."""
        return self.run("python", "-c", code, **options)

    def inspect(self) -> dict:
        """The engine's description of the image."""
        return json.loads(self.ask("image", "inspect", self.name))[0]

    def ask(self, *arguments: str) -> str:
        """The output of an engine command."""
        return subprocess.run(
            [self.engine, *arguments], capture_output=True, text=True, timeout=120, check=True
        ).stdout.strip()


@pytest.fixture(scope="session")
def image() -> Image:
    """The built image; pipeline/environment/image/test.sh sets the variables."""
    assert "CONTAINER_ENGINE" in os.environ, "these tests need the image: make test-image builds it and runs them"
    return Image(os.environ["CONTAINER_ENGINE"], os.environ["IMAGE"])


@pytest.fixture
def engines(tmp_path) -> Callable[..., dict[str, str]]:
    """Puts fake docker and podman programs on the PATH. They log their calls to `tmp_path/calls`.

    Returns the environment to run with.
    """

    def engines(**answers: int) -> dict[str, str]:
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in ("bash", "sh", "sed", "git", "mktemp", "mkdir", "rm", "cp", "cat", "dirname", "uname", "tail"):
            program = subprocess.run(["/bin/sh", "-c", f"command -v {name}"], capture_output=True, text=True)
            (folder / name).symlink_to(program.stdout.strip())
        for name, info in answers.items():
            (folder / name).write_text(FAKE_ENGINE.format(name=name, info=info, folder=tmp_path))
            (folder / name).chmod(0o755)
        return {"PATH": str(folder), "HOME": str(tmp_path)}

    return engines
