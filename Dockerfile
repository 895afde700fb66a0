# mcproxy in a container: one volume for everything it keeps, no privileges, no shell needed.
#
#   docker build -t mcproxy .
#   docker run --read-only --tmpfs /tmp -v mcproxy:/data -e PROXY_API_KEY=... \
#       -p 127.0.0.1:8080:8080 mcproxy
#
# compose.yaml has the rest, and how to sign in. To pin what it is built on, name it by digest:
# --build-arg BASE=python:3.13-slim-bookworm@sha256:...
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY man ./man
COPY completions ./completions
COPY mcp_proxy ./mcp_proxy
# Into an environment without pip. pip compiles the bytecode, too: where it runs, the root may be
# read-only.
RUN python -m venv --without-pip /opt/mcproxy \
    && pip --python /opt/mcproxy install --no-cache-dir .

FROM ${BASE}
# Nothing but /data belongs to the user. A volume that is new takes over its owner and mode.
RUN groupadd --gid 65532 mcproxy \
    && useradd --uid 65532 --gid 65532 --home-dir /data --no-create-home \
        --shell /usr/sbin/nologin mcproxy \
    && install --directory --owner=65532 --group=65532 --mode=0700 /data
COPY --from=build /opt/mcproxy /opt/mcproxy
ENV PATH=/opt/mcproxy/bin:$PATH \
    ACCOUNTS_CONFIG_PATH=/data/accounts.toml \
    MCPROXY_CONFIG=/data/config.toml \
    MCPROXY_STATE_DIR=/data/state
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8080
# Lets open streams end, for 30 s (`drain` in config.toml): `docker stop --time 40`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["mcproxy", "health", "--quiet"]
ENTRYPOINT ["mcproxy"]
# Beyond loopback, as mapped ports need it, it does not start without PROXY_API_KEY.
CMD ["serve", "--host", "0.0.0.0"]
