# The worker as an OCI image.
#
#   docker build -t iexec-worker --build-arg DOCKER_GID=$(stat -c %g /var/run/docker.sock) .
#
# BASE needs python3 ≥ 3.11 with venv, curl and tini, or apt-get to install what is missing. A
# folder `wheelhouse` in the build context is used instead of the network when it holds wheels.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
RUN python3 -c 'import ensurepip, venv' 2> /dev/null \
    || (apt-get update && apt-get install -y --no-install-recommends python3-venv)
RUN python3 -m venv /opt/iexec-worker
WORKDIR /src
COPY . .
RUN set -eu; \
    if [ -d wheelhouse ]; then options="--no-index --find-links wheelhouse"; else options=""; fi; \
    /opt/iexec-worker/bin/pip install --no-cache-dir $options .

FROM ${BASE}
RUN command -v curl > /dev/null && command -v tini > /dev/null \
    || (apt-get update \
        && apt-get install -y --no-install-recommends curl tini \
        && rm -rf /var/lib/apt/lists/*)

# The group that may use the engine's socket on the host; its number differs from host to host.
ARG DOCKER_GID=999
RUN (getent group "${DOCKER_GID}" > /dev/null || groupadd --gid "${DOCKER_GID}" docker) \
    && useradd --system --create-home --gid "${DOCKER_GID}" worker

COPY --from=build /opt/iexec-worker /opt/iexec-worker
ENV PATH=/opt/iexec-worker/bin:$PATH PYTHONUNBUFFERED=1

ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="iexec-worker" \
      org.opencontainers.image.description="A node agent for iExec workerpools, on Trio" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"

USER worker
EXPOSE 13100
# Liveness: it stays up while the scheduler, the node or the engine is away.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD curl -fsS "http://localhost:${IEXEC_WORKER_PORT:-13100}/actuator/health" || exit 1

ENTRYPOINT ["tini", "--", "iexec-worker"]
CMD ["run"]
