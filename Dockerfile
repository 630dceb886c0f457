# The image that every step of the pipeline runs in. `make image` builds it; the build arguments:
#   ACCELERATOR            cpu, or gpu: with NVIDIA's libraries for TensorFlow
#   BASE_IMAGE             the base: glibc 2.38 or newer and Python 3.11, 3.12 or 3.13
#   BUILD_IMAGE            the build stage: the same Python at the same path, and a C++ compiler
#   VERSION, REVISION, SOURCE   for the labels
# The secrets pip.conf and ca.pem, both optional, configure the package index; they are in no layer.
ARG BASE_IMAGE=python:3.11-slim-trixie
ARG BUILD_IMAGE=python:3.11-trixie

# Every package, exactly as locked. Five come as source only; without --no-build-isolation pip would fetch unpinned
# build tools for them. pip compiles the bytecode here because no user may write it at run time.
# TensorFlow's C++ headers, an eighth of the total size, are removed: only a compiler needs them.
FROM ${BUILD_IMAGE} AS packages
ARG ACCELERATOR=cpu
COPY pipeline/environment/image/*.lock /locks/
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.pem --mount=type=cache,target=/root/.cache/pip \
    set -eu; \
    case "$ACCELERATOR" in \
      cpu) more= ;; \
      gpu) more="-r /locks/gpu.lock" ;; \
      *) echo "ACCELERATOR must be cpu or gpu, not '$ACCELERATOR'" >&2; exit 2 ;; \
    esac; \
    export PIP_CONFIG_FILE=/run/secrets/pip.conf PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1; \
    if [ -e /run/secrets/ca.pem ]; then export PIP_CERT=/run/secrets/ca.pem; fi; \
    python3 -m venv /opt/restem; \
    install="/opt/restem/bin/python -m pip install --quiet --root-user-action=ignore --no-deps --require-hashes"; \
    $install --only-binary :all: -r /locks/build.lock; \
    $install --no-build-isolation --use-pep517 -r /locks/packages.lock $more; \
    rm -r /opt/restem/lib/python3*/site-packages/tensorflow/include; \
    /opt/restem/bin/python -m pip check

# The project is in a separate layer: after a code change, only a megabyte is pushed and pulled.
FROM packages AS project
COPY . /source
RUN set -eu; \
    /opt/restem/bin/python -m pip install --quiet --root-user-action=ignore --no-index --no-deps \
      --no-build-isolation --no-compile --no-warn-script-location --root /project /source; \
    /opt/restem/bin/python -m compileall -q -s /project -p / /project

FROM ${BASE_IMAGE}
COPY --from=packages /opt/restem /opt/restem
COPY --from=project /project/opt/restem /opt/restem
# A cluster may choose any user. So HOME is a folder that all users may write to, and USER is set because a user id
# that is not in /etc/passwd has no name.
ENV PATH=/opt/restem/bin:$PATH \
    HOME=/tmp \
    USER=restem \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TF_ENABLE_ONEDNN_OPTS=1
USER 1000:0
# No ENTRYPOINT, so that a step's own command and `docker run IMAGE restem ...` both work.
CMD ["restem", "--help"]
# Last, so that the labels of a new commit do not change the layers above.
ARG BASE_IMAGE
ARG ACCELERATOR=cpu
ARG VERSION
ARG REVISION
ARG SOURCE
LABEL org.opencontainers.image.title="restem" \
      org.opencontainers.image.description="The steps of the Restem pipeline (${ACCELERATOR})" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
