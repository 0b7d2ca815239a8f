# The worker as an OCI image.
#
#   docker build -t iexec-worker --build-arg DOCKER_GID=$(stat -c %g /var/run/docker.sock) .
#
# BASE needs python3 ≥ 3.11 with venv, curl and tini, or apt-get to install what is missing. A
# folder `wheelhouse` in the build context (`pip wheel -w wheelhouse hatchling .`) is used instead of
# the network when it is there.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
RUN python3 -c 'import ensurepip, venv' 2> /dev/null \
    || (apt-get update && apt-get install -y --no-install-recommends python3-venv)
RUN python3 -m venv /opt/iexec-worker
WORKDIR /src
COPY . .
RUN set -eu; \
    if [ -d wheelhouse ]; then options="--no-index --find-links wheelhouse"; else options=""; fi; \
    /opt/iexec-worker/bin/pip install --no-cache-dir $options .; \
    /opt/iexec-worker/bin/pip uninstall --quiet --yes setuptools pip

FROM ${BASE}
RUN command -v curl > /dev/null && command -v tini > /dev/null \
    || (apt-get update \
        && apt-get install -y --no-install-recommends ca-certificates curl tini \
        && rm -rf /var/lib/apt/lists/*)

# Who it runs as: the owner of the base directory on the host, in the group that may use the engine's
# socket there. That group's number differs from host to host; where the socket is root's (gid 0), 0
# is right: the user is in group root then, and still not root. `docker run --group-add` does the
# same for an image that was built elsewhere.
ARG WORKER_UID=1000
ARG DOCKER_GID=999
RUN set -eu; \
    getent group "${DOCKER_GID}" > /dev/null || groupadd --gid "${DOCKER_GID}" docker; \
    useradd --uid "${WORKER_UID}" --user-group --create-home --no-log-init \
        --groups "$(getent group "${DOCKER_GID}" | cut -d: -f1)" worker; \
    install -d -o worker -g worker /var/lib/iexec-worker

COPY --from=build /opt/iexec-worker /opt/iexec-worker
ENV PATH=/opt/iexec-worker/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    IEXEC_WORKER_BASE_DIR=/var/lib/iexec-worker

ARG BASE
ARG VERSION=0.1.0
ARG REVISION=
# Where it was built from, for those who look for its source.
ARG SOURCE=
LABEL org.opencontainers.image.title="iexec-worker" \
      org.opencontainers.image.description="A node agent for iExec workerpools, on Trio" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.licenses="Apache-2.0"

# A number, so that who forbids root (`runAsNonRoot`) sees that it is none.
USER ${WORKER_UID}
EXPOSE 13100
# Liveness: it stays up while the scheduler, the node or the engine is away.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD curl -fsS "http://localhost:${IEXEC_WORKER_PORT:-13100}/actuator/health" || exit 1

ENTRYPOINT ["tini", "--", "iexec-worker"]
CMD ["run"]
