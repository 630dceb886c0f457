#!/usr/bin/env bash
# Makes the two images that a build starts from, without a registry: Debian trixie from this machine's own Debian
# mirror, with Debian's Python 3.13. Needs debootstrap and root.
#
#   test-base.sh ENGINE BASE_IMAGE BUILD_IMAGE
set -euo pipefail
engine=$1 base=$2 build=$3
suite=trixie
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The first mirror of apt on this machine that has Debian itself; if there is none, debootstrap uses its default.
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 2>/dev/null | sed -n 's/^Debian //p' | sed -n 1p)

make_image() { # name, packages
  echo "test-image: debootstrap makes $1 (Debian $suite)"
  debootstrap --variant=minbase --include="$2" --cache-dir="$scratch/cache" "$suite" "$scratch/root" ${mirror:+"$mirror"} \
    >"$scratch/log" 2>&1 || { tail -n 5 "$scratch/log" >&2; exit 1; }
  # Remove all traces of this machine and its mirror: nothing more is installed.
  rm -rf "$scratch"/root/var/cache/apt/archives/*.deb "$scratch"/root/var/lib/apt/lists/* \
    "$scratch"/root/var/log/* "$scratch"/root/etc/{apt/sources.list,resolv.conf,hostname}
  tar -C "$scratch/root" -c . | "$engine" import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' - "$1" >/dev/null 2>&1
  rm -rf "$scratch/root"
}

mkdir "$scratch/cache"
make_image "$base" ca-certificates,python3
make_image "$build" ca-certificates,python3,python3-venv,python3-dev,g++
