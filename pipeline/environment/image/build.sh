#!/usr/bin/env bash
# Builds the image with docker or podman. `make image` calls it; from the environment, all optional:
#   IMAGE=name:tag               default restem:<version>, restem:<version>-gpu
#   ACCELERATOR=cpu|gpu          gpu adds NVIDIA's libraries for TensorFlow
#   BASE_IMAGE, BUILD_IMAGE      what it stands on and where it is put together (see Dockerfile)
#   SOURCE=URL                   where the source is, for the label
#   ENGINE=docker|podman         default: docker where it works, else podman
# Where packages come from is what pip on this machine is told (its configuration, PIP_INDEX_URL, PIP_CERT, proxies).
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
here=$root/pipeline/environment/image
. "$here/engine.sh"

accelerator=${ACCELERATOR:-cpu}
case $accelerator in
  cpu) suffix= ;;
  gpu) suffix=-gpu ;;
  *) echo "image: ACCELERATOR is cpu or gpu, not '$accelerator'" >&2; exit 2 ;;
esac
find_engine
[ -n "$engine" ] || no_engine

version=$(sed -nE 's/^ *version="([^"]+)",$/\1/p' "$root/setup.py")
revision=$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)
if [ -n "$(git -C "$root" status --porcelain --untracked-files=no 2>/dev/null)" ]; then revision=$revision-changed; fi
image=${IMAGE:-restem:$version$suffix}

# Readable for this user alone, and gone when this script ends: an index's address may hold a password.
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
# TFX has wheels for no other Linux than this one; elsewhere the engine emulates it.
case $(uname -m) in x86_64 | amd64) ;; *) options+=(--platform linux/amd64) ;; esac
# By name only: docker takes the value from the environment and keeps it out of the image; podman does so by itself.
if [ "$engine" = docker ]; then
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    if [ -n "${!name:-}" ]; then options+=(--build-arg "$name"); fi
  done
  export DOCKER_BUILDKIT=1
fi

echo "image: $engine builds $image ($accelerator); the first time takes minutes"
if ! "$engine" build "${options[@]}" "$root"; then
  echo "image: $engine could not build it, for the reason above." >&2
  echo "Where base images cannot be pulled, name others: BASE_IMAGE=... BUILD_IMAGE=... make image" >&2
  exit 1
fi
# Started once: a base image and a build image that do not belong together are found here, not on the cluster.
"$engine" run --rm --network none "$image" restem --version >/dev/null \
  || { echo "image: $image was built but does not start: have BASE_IMAGE and BUILD_IMAGE the same Python?" >&2; exit 1; }
bytes=$("$engine" image inspect --format '{{.Size}}' "$image")
echo "image: $image, $((bytes / 1000000)) MB"
