# One image, three roles: `mqops serve`, `mqops work`, `mqops reconcile`. PostgreSQL and Redis are elsewhere.
FROM python:3.12-slim AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY schemas schemas
COPY mqops mqops
COPY reconciler reconciler
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && python -m venv /opt/mqops \
 && /opt/mqops/bin/pip install --no-cache-dir -c constraints.txt /wheels/mqops-*.whl

FROM python:3.12-slim
COPY --from=build /opt/mqops /opt/mqops
# The state directory holds catalog snapshots; a new volume mounted there takes over its owner.
RUN useradd --system --uid 10001 --home-dir /var/lib/mqops --create-home --shell /usr/sbin/nologin mqops
ENV PATH=/opt/mqops/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MQOPS_HOST=0.0.0.0 \
    MQOPS_STATE_DIR=/var/lib/mqops
USER mqops
WORKDIR /var/lib/mqops
EXPOSE 3010
ENTRYPOINT ["mqops"]
CMD ["serve"]
