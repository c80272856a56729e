# One image for `paquebot operator` and `paquebot mta`: a virtual environment over a slim base, no build tool in it.
#
#     docker build -t paquebot .        or:  buildah bud -t paquebot .        or, in this project's tests:  tools/image
#
# BASE is any image with Python 3.11 or later that can make virtual environments. pip's settings and the certificates to
# trust while building are the builder's own, never the image's:
#     --secret id=pip,src=/etc/pip.conf --secret id=certificates,src=/etc/ssl/certs/ca-certificates.crt
ARG BASE=python:3.11-slim-bookworm
# Where the bridge is compiled, unless bridge/bridge is there already: any image with a C compiler and a static C library.
ARG COMPILER=gcc:14-bookworm

# What uv.lock names, by its hashes, wheels only.
FROM ${BASE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ONLY_BINARY=:all: \
    PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/paquebot
COPY pyproject.toml uv.lock tools/locked-uv ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,mode=0444 \
    --mount=type=secret,id=certificates,target=/run/certificates.pem,mode=0444 \
    python3 locked-uv >uv.txt \
    && /tools/bin/pip install --quiet --require-hashes -r uv.txt \
    && export="/tools/bin/uv export --quiet --frozen --no-emit-project --python python3" \
    && $export --no-dev --extra mta --extra operator --output-file runtime.txt >/dev/null \
    && $export --only-group build --output-file build.txt >/dev/null \
    && /tools/bin/pip install --quiet --require-hashes -r build.txt \
    && /tools/bin/pip --python /opt/paquebot/bin/python install --quiet --require-hashes -r runtime.txt
# No tests of others, no type stubs, no sources of compiled modules; of the Kubernetes client only the way to the server: its
# classes for each kind are half of all bytes here, and the operator has its own models.
# Bytecode is made here: the root will be read-only.
RUN cd /opt/paquebot/lib/python3*/site-packages \
    && find . -type d \( -name tests -o -name test \) -path './*/*' -prune -exec rm -rf {} + \
    && find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.c' -o -name '*.h' \) -delete \
    && find kubernetes/client/api kubernetes/client/models kubernetes/aio/client/api kubernetes/aio/client/models \
        -type f ! -name __init__.py -delete \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash . \
    && printf 'paquebot:x:65532:65532:Paquebot:/tmp:/usr/sbin/nologin\n' >>/etc/passwd \
    && printf 'paquebot:x:65532:\n' >>/etc/group

# The project alone: a layer of a few megabytes that changes with each commit.
FROM dependencies AS project
COPY . .
RUN /tools/bin/pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir /wheel . \
    && /tools/bin/pip --python /opt/paquebot/bin/python install --quiet --no-deps --no-index \
        --prefix /project /wheel/*.whl \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /project

# What puts filters in containers of their own behind sockets; it is copied into theirs.
FROM ${COMPILER} AS bridge
COPY bridge /bridge
RUN test -x /bridge/bridge || cc -O2 -static -s -Wall -Werror -o /bridge/bridge /bridge/bridge.c

FROM ${BASE}
COPY --from=dependencies /etc/passwd /etc/group /etc/
COPY --from=dependencies /opt/paquebot /opt/paquebot
COPY --from=bridge /bridge/bridge /opt/paquebot/bin/paquebot-bridge
# For programs that submit mail as they always did, in images made from this one or called in a pod.
RUN mkdir -p /usr/sbin && ln -sf /opt/paquebot/bin/paquebot /usr/sbin/sendmail
COPY --from=project /project /opt/paquebot
# The root may be read-only: nothing is written but where a command is told to, and in /tmp.
ENV PATH=/opt/paquebot/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Paquebot" \
    org.opencontainers.image.description="A Kubernetes-native mail service: operator and mail server" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
WORKDIR /
# MX, submission, submissions and LMTP; health, metrics and acknowledgements.
EXPOSE 2525 5870 4650 2424 9025
STOPSIGNAL SIGTERM
ENTRYPOINT ["paquebot"]
CMD ["--help"]
