#!/usr/bin/env bash
# Makes .venv in the repository's root and installs exactly what requirements.lock names.
# Safe to call at any time: done before, it returns at once; interrupted, the next call finishes the work.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/pipeline/environment
venv=$root/.venv
stamp=$venv/.setup-complete

say() { printf '%s\n' "$*"; }
fail() { printf 'set-up: %s\n' "$*" >&2; exit 1; }

# The stamp holds the checksum of everything that decides what gets installed.
# (setup.py is part of it: it names the console script and the packages.)
wanted=$(cd "$root" && cat requirements.lock setup.py pipeline/environment/*.sh pipeline/environment/*.lock | cksum)
wanted="$wanted $root"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi

suits() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

find_python() {
  for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3; do
    if command -v "$candidate" >/dev/null 2>&1 && suits "$candidate"; then
      # The real interpreter: version managers put scripts of the same name on the path.
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  fail "no Python 3.11 (preferred), 3.12 or 3.13 with the venv module was found.
  Debian, Ubuntu:  apt-get install python3.11 python3.11-venv    (or python3.12, python3.13)
  Fedora, RHEL:    dnf install python3.11
  macOS:           brew install python@3.11
Or name one:       PYTHON=/path/to/python3.11 make setup"
}

rm -f "$stamp"
# A virtual environment that does not start (half made, or its Python was removed) is made anew.
if ! { [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
  python=$(find_python)
  say "set-up 1/4: a virtual environment with $("$python" --version 2>&1) in .venv"
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi

say "set-up 2/4: the installer"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
  -r "$here/setup-tools.lock" || fail "the installer could not be installed: is a Python package index reachable?"

# TFX 1.21's Linux wheels need glibc 2.38. Asked of Python: other C libraries have no gnu_get_libc_version.
if [ "$(uname -s)" = Linux ]; then
  if "$venv/bin/python" - <<'PY'
import platform, sys
name, version = platform.libc_ver()
sys.exit(name == "glibc" and tuple(map(int, version.split(".")[:2])) >= (2, 38))
PY
  then
    say "set-up 3/4: a C library for the virtual environment (this system's is older than glibc 2.38)"
    "$here/private_libc.sh" "$venv"
  fi
fi

say "set-up 4/4: the packages in requirements.lock (about 1.5 GB on a first download)"
# Links into uv's cache need both on one file system; uv copies by itself where they are not.
VIRTUAL_ENV=$venv "$venv/bin/uv" pip sync --quiet --require-hashes "$root/requirements.lock" \
  || fail "the packages could not be installed; 'make setup' goes on from here once that is mended."
# The project itself, as it stands in this folder: an edit is live at once.
VIRTUAL_ENV=$venv "$venv/bin/uv" pip install --quiet --no-deps --no-build-isolation --editable "$root"
printf '%s' "$wanted" > "$stamp"
say "set-up done. Next: make demo, or .venv/bin/restem --help"
