#!/usr/bin/env bash
# Builds the image and tests it. `make test-image` calls it.
#
# On Debian as root it installs podman and runc if there is no container engine, and debootstrap to make a base image if
# the base image cannot be pulled. For environment variables see build.sh.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
here=$root/pipeline/environment/image
. "$here/engine.sh"
say() { printf 'test-image: %s\n' "$*"; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

apt_install() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  say "apt-get installs $*"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

find_engine
if [ -z "$engine" ]; then
  apt_install podman runc || no_engine
  find_engine
  [ -n "$engine" ] || no_engine
fi

default_base=$(sed -nE 's/^ARG BASE_IMAGE=(.+)$/\1/p' "$root/Dockerfile")
if [ -z "${BASE_IMAGE:-}" ] && ! "$engine" image inspect "$default_base" >/dev/null 2>&1 \
  && ! "$engine" pull --quiet "$default_base" >"$scratch/pull" 2>&1; then
  say "$default_base cannot be pulled ($(tail -n 1 "$scratch/pull" | cut -c -160))"
  BASE_IMAGE=localhost/restem-test-base:trixie BUILD_IMAGE=localhost/restem-test-build:trixie
  if ! "$engine" image inspect "$BASE_IMAGE" "$BUILD_IMAGE" >/dev/null 2>&1; then
    command -v debootstrap >/dev/null || apt_install debootstrap \
      || { say "install debootstrap, or set BASE_IMAGE and BUILD_IMAGE" >&2; exit 1; }
    "$here/test-base.sh" "$engine" "$BASE_IMAGE" "$BUILD_IMAGE"
  fi
  export BASE_IMAGE BUILD_IMAGE
fi

# In a sandbox podman's defaults may not work: limits above the machine's, a separate network, crun.
starts() { "$engine" run --rm "${BASE_IMAGE:-$default_base}" python3 -c '' >"$scratch/start" 2>&1; }
if [ "$engine" = podman ] && [ -z "${CONTAINERS_CONF:-}" ] && ! starts; then
  at_most() { [ "$1" != unlimited ] && [ "$1" -lt "$2" ] && echo "$1" || echo "$2"; }
  files=$(at_most "$(ulimit -Hn)" 32768) processes=$(at_most "$(ulimit -Hu)" 32768)
  command -v runc >/dev/null || apt_install runc
  export CONTAINERS_CONF=$scratch/containers.conf
  cat > "$CONTAINERS_CONF" <<CONF
[containers]
netns = "host"
default_ulimits = ["nofile=$files:$files", "nproc=$processes:$processes"]
[engine]
runtime = "runc"
CONF
  say "podman runs with runc, the host's network and at most $files files and $processes processes"
fi
starts || { say "$engine cannot start a container: $(tail -n 1 "$scratch/start")" >&2; exit 1; }

export IMAGE=${IMAGE:-localhost/restem-test:${ACCELERATOR:-cpu}}
id_of_image() { "$engine" image inspect --format '{{.Id}}' "$IMAGE" 2>/dev/null || true; }
before=$(id_of_image)
ENGINE=$engine bash "$here/build.sh"
# The earlier image with the same name is unused now.
if [ -n "$before" ] && [ "$before" != "$(id_of_image)" ]; then "$engine" image rm "$before" >/dev/null 2>&1 || true; fi
CONTAINER_ENGINE=$engine "$root/.venv/bin/python" -m pytest "$root/tests/image" -m image "$@"
