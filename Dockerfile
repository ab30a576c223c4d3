# The service on a CPU. `docker compose up --build`; docs/containers.md says how to use it.
FROM python:3.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/arcid
COPY locked.txt pyproject.toml README.md LICENSE ./
RUN /opt/arcid/bin/pip install --require-hashes -r locked.txt
COPY src src
RUN /opt/arcid/bin/pip install --no-deps --no-build-isolation .

FROM python:3.13-slim-trixie
RUN useradd --uid 10001 --no-log-init --create-home --home-dir /var/lib/arcid arcid
COPY --from=build /opt/arcid /opt/arcid
ENV PATH=/opt/arcid/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    ARCID_HOME=/var/lib/arcid \
    ARCID_HOST=0.0.0.0 \
    ARCID_PORT=8000
USER 10001:10001
WORKDIR /var/lib/arcid
VOLUME /var/lib/arcid
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import http.client, os, ssl; at = '127.0.0.1', int(os.environ['ARCID_PORT']); c = http.client.HTTPSConnection(*at, timeout=4, context=ssl._create_unverified_context()) if os.environ.get('ARCID_TLS_CERT') else http.client.HTTPConnection(*at, timeout=4); c.request('GET', '/v1/health'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["arcid"]
CMD ["serve"]
