# stackbench for processors: `docker build -f docker/cpu.Dockerfile -t stackbench:cpu .` in the checkout.
# Generated code runs in containers of the engine that DOCKER_HOST, or a mounted /var/run/docker.sock, names.
ARG PYTHON=python:3.11-slim-bookworm
FROM ${PYTHON}
RUN apt-get update \
    && apt-get install -y --no-install-recommends git libportaudio2 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/stackbench
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY stackbench stackbench
COPY scenarios scenarios
COPY audio_fixtures audio_fixtures
ARG EXTRAS=local,voice,swe,report,notify
# PyTorch first and by itself: its wheel for processors, before anything else asks for a newer one with CUDA
RUN case ",$EXTRAS," in *,local,*) pip install --no-cache-dir -c constraints.txt torch==2.13.0 ;; esac \
    && pip install --no-cache-dir -c constraints.txt ".[$EXTRAS]"
ENV STACKBENCH_HOME=/home-volume STACKBENCH_CACHE=/home-volume/cache
VOLUME /home-volume
STOPSIGNAL SIGTERM
ENTRYPOINT ["stackbench"]
CMD ["--help"]
