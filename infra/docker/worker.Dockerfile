# A training worker. The context is made by infra/docker/build.py.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
COPY install.sh pip-*.whl /build/
COPY wheels /build/wheels
RUN sh /build/install.sh dependencies --compile
COPY program /build/program
RUN sh /build/install.sh program --compile

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Bandwatch training worker" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN echo "bandwatch:x:10001:10001::/var/lib/bandwatch:/usr/sbin/nologin" >> /etc/passwd \
 && echo "bandwatch:x:10001:" >> /etc/group \
 && mkdir -p /var/lib/bandwatch \
 && chown 10001:10001 /var/lib/bandwatch
COPY --from=build /opt/bandwatch /opt/bandwatch
COPY health/worker.py /opt/health.py
ENV PATH=/opt/bandwatch/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    BANDWATCH_WORKER_DATA_DIR=/var/lib/bandwatch
USER 10001:10001
WORKDIR /var/lib/bandwatch
VOLUME /var/lib/bandwatch
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python3", "/opt/health.py"]
ENTRYPOINT ["bandwatch-worker"]
CMD ["run"]
