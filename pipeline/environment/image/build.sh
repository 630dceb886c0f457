#!/usr/bin/env bash
# Builds the image with docker or podman. `make image` calls it. Environment variables, all optional:
#   IMAGE=name:tag               default restem:<version>, restem:<version>-gpu
#   ACCELERATOR=cpu|gpu          gpu adds NVIDIA's libraries for TensorFlow
#   BASE_IMAGE, BUILD_IMAGE      the base image and the image of the build stage (see Dockerfile)
#   SOURCE=URL                   the address of the source, for the label
#   ENGINE=docker|podman         default: docker if it works, else podman
# The package index is the one that pip uses on this machine (its configuration, PIP_INDEX_URL, PIP_CERT, proxies).
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
here=$root/pipeline/environment/image
. "$here/engine.sh"

accelerator=${ACCELERATOR:-cpu}
case $accelerator in
  cpu) suffix= ;;
  gpu) suffix=-gpu ;;
  *) echo "image: ACCELERATOR must be cpu or gpu, not '$accelerator'" >&2; exit 2 ;;
esac
find_engine
[ -n "$engine" ] || no_engine

version=$(sed -nE 's/^ *version="([^"]+)",$/\1/p' "$root/setup.py")
revision=$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)
if [ -n "$(git -C "$root" status --porcelain --untracked-files=no 2>/dev/null)" ]; then revision=$revision-changed; fi
image=${IMAGE:-restem:$version$suffix}

# Only this user can read it, and it is removed when this script ends: the address of an index may contain a password.
secrets=$(umask 077 && mktemp -d)
trap 'rm -rf "$secrets"' EXIT
"$here/pip-configuration.sh" "$secrets"

options=(
  --file "$root/Dockerfile" --tag "$image"
  --build-arg ACCELERATOR="$accelerator" --build-arg VERSION="$version" --build-arg REVISION="$revision"
  --build-arg SOURCE="${SOURCE:-}" --secret id=pip.conf,src="$secrets/pip.conf"
)
if [ -f "$secrets/ca.pem" ]; then options+=(--secret id=ca.pem,src="$secrets/ca.pem"); fi
for name in BASE_IMAGE BUILD_IMAGE; do
  if [ -n "${!name:-}" ]; then options+=(--build-arg "$name=${!name}"); fi
done
# TFX has Linux wheels only for amd64; on other machines the engine emulates it.
case $(uname -m) in x86_64 | amd64) ;; *) options+=(--platform linux/amd64) ;; esac
# Without values: docker takes them from the environment and keeps them out of the image. podman does this by default.
if [ "$engine" = docker ]; then
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    if [ -n "${!name:-}" ]; then options+=(--build-arg "$name"); fi
  done
  export DOCKER_BUILDKIT=1
fi

echo "image: $engine builds $image ($accelerator); the first build takes several minutes"
if ! "$engine" build "${options[@]}" "$root"; then
  echo "image: $engine could not build it; the reason is above." >&2
  echo "If the base images cannot be pulled, choose others: BASE_IMAGE=... BUILD_IMAGE=... make image" >&2
  exit 1
fi
# Start it once, so that a mismatch of base image and build image is found here, not on the cluster.
"$engine" run --rm --network none "$image" restem --version >/dev/null \
  || { echo "image: $image does not start. Do BASE_IMAGE and BUILD_IMAGE have the same Python?" >&2; exit 1; }
bytes=$("$engine" image inspect --format '{{.Size}}' "$image")
echo "image: $image, $((bytes / 1000000)) MB"
