#!/usr/bin/env bash
# Creates .venv in the repository's root and installs exactly the packages in requirements.lock.
# Safe to call at any time: if everything is installed, it returns at once; after an interruption, call it again.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/pipeline/environment
venv=$root/.venv
stamp=$venv/.setup-complete

say() { printf '%s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# The stamp is the checksum of all files that determine what is installed.
# (setup.py is one of them because it defines the console script and the packages.)
wanted=$(cd "$root" && cat requirements.lock setup.py pipeline/environment/*.sh pipeline/environment/*.lock | cksum)
wanted="$wanted $root"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi

suits() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

find_python() {
  for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3; do
    if command -v "$candidate" >/dev/null 2>&1 && suits "$candidate"; then
      # The real interpreter: version managers put scripts with the same name on the PATH.
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  fail "no Python 3.11 (preferred), 3.12 or 3.13 with the venv module was found.
  Debian, Ubuntu:  apt-get install python3.11 python3.11-venv    (or python3.12, python3.13)
  Fedora, RHEL:    dnf install python3.11
  macOS:           brew install python@3.11
Or choose one:     PYTHON=/path/to/python3.11 make setup"
}

rm -f "$stamp"
# A virtual environment that does not start (incomplete, or its Python was removed) is created again.
if ! { [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
  python=$(find_python)
  say "setup 1/4: create a virtual environment with $("$python" --version 2>&1) in .venv"
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi

say "setup 2/4: install the installer"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
  -r "$here/setup-tools.lock" || fail "the installer could not be installed: is a Python package index reachable?"

# TFX 1.21's Linux wheels need glibc 2.38. Python checks it because other C libraries have no gnu_get_libc_version.
if [ "$(uname -s)" = Linux ]; then
  if "$venv/bin/python" - <<'PY'
import platform, sys
name, version = platform.libc_ver()
sys.exit(name == "glibc" and tuple(map(int, version.split(".")[:2])) >= (2, 38))
PY
  then
    say "setup 3/4: add a C library to the virtual environment (this system's is older than glibc 2.38)"
    "$here/private_libc.sh" "$venv"
  fi
fi

say "setup 4/4: install the packages in requirements.lock (the first download is about 1.5 GB)"
# uv links to its cache if both are on one file system; otherwise it copies.
VIRTUAL_ENV=$venv "$venv/bin/uv" pip sync --quiet --require-hashes "$root/requirements.lock" \
  || fail "the packages could not be installed. Fix the error above, then call 'make setup' again: it continues from here."
# The project itself, editable: changes take effect at once.
VIRTUAL_ENV=$venv "$venv/bin/uv" pip install --quiet --no-deps --no-build-isolation --editable "$root"
# The bytecode of what a run loads is written now: where PYTHONDONTWRITEBYTECODE is set, as in many containers and CI
# systems, every process would compile 9,000 files again, which takes longer than to load them.
PYTHONDONTWRITEBYTECODE='' "$venv/bin/python" -c \
  'import restem.pipeline.pipeline, restem.trainer.module, restem.pipeline.kubeflow.compiler.compile' >/dev/null 2>&1 \
  || say "setup: the packages are installed, but they do not load: .venv/bin/restem doctor says more"
printf '%s' "$wanted" > "$stamp"
say "setup done. Next: make demo, or .venv/bin/restem --help"
