#!/usr/bin/env bash
# Pins the packages of the image, with hashes, at the versions in requirements.lock. `make lock` calls it.
#   packages.lock  the packages that the steps need: requirements.lock without the developers' tools
#   gpu.lock       the additional packages of the GPU image
#   build.lock     the build tools for packages that come as source only
set -euo pipefail
cd "$(dirname "$0")/../../.."
here=pipeline/environment/image

pin() {
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --custom-compile-command "make lock" --constraint requirements.lock "$@"
}

pin --extra dicom --extra heif --extra kubeflow --extra sign --extra track --extra tune setup.py -o "$here/packages.lock"
pin "$here/build.in" -o "$here/build.lock"
there=()
for name in $(sed -nE 's/^([a-z0-9._-]+)==.*/\1/p' "$here/packages.lock" | sort -u); do there+=(--no-emit-package "$name"); done
pin "${there[@]}" "$here/gpu.in" -o "$here/gpu.lock"
