# The coordinator; with the command `schedule`, its schedule. The context is made by infra/docker/build.py.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
COPY install.sh pip-*.whl /build/
COPY wheels /build/wheels
RUN sh /build/install.sh dependencies --compile
COPY program /build/program
RUN sh /build/install.sh program --compile

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Bandwatch coordinator" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN echo "bandwatch:x:10001:10001::/var/lib/bandwatch:/usr/sbin/nologin" >> /etc/passwd \
 && echo "bandwatch:x:10001:" >> /etc/group \
 && mkdir -p /var/lib/bandwatch /invitations \
 && chown 10001:10001 /var/lib/bandwatch /invitations
COPY --from=build /opt/bandwatch /opt/bandwatch
COPY health/coordinator.py /opt/health.py
ENV PATH=/opt/bandwatch/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    BANDWATCH_COORDINATOR_LISTEN=0.0.0.0:50051 \
    BANDWATCH_COORDINATOR_MEMBER_LISTEN=0.0.0.0:50052 \
    BANDWATCH_COORDINATOR_KEYS_DIR=/run/secrets \
    BANDWATCH_COORDINATOR_SIGNING_KEY_FILE=/run/secrets/signing.key \
    BANDWATCH_COORDINATOR_TIMESTAMP_KEY_FILE=/run/secrets/timestamp.key \
    BANDWATCH_COORDINATOR_RELEASE_ROOT_FILE=/run/secrets/release-root.json \
    BANDWATCH_COORDINATOR_BLOB_DIR=/var/lib/bandwatch/blobs
USER 10001:10001
WORKDIR /var/lib/bandwatch
VOLUME /var/lib/bandwatch
EXPOSE 50051 50052
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python3", "/opt/health.py"]
ENTRYPOINT ["bandwatch-coordinator"]
CMD ["serve"]
