# stackbench with vLLM for NVIDIA GPUs: `docker build -f docker/cuda.Dockerfile -t stackbench:cuda .` in the checkout.
# vLLM's image brings CUDA, PyTorch and vLLM; the driver is the host's (nvidia-container-toolkit).
ARG VLLM=vllm/vllm-openai:v0.11.0
FROM ${VLLM}
RUN apt-get update \
    && apt-get install -y --no-install-recommends git libportaudio2 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/stackbench
COPY pyproject.toml README.md LICENSE ./
COPY stackbench stackbench
COPY scenarios scenarios
COPY audio_fixtures audio_fixtures
# without constraints.txt: PyTorch and transformers are those that vLLM was built for
RUN pip install --no-cache-dir '.[voice,swe,report,notify]' nvidia-ml-py
ENV STACKBENCH_HOME=/home-volume STACKBENCH_CACHE=/home-volume/cache
VOLUME /home-volume
STOPSIGNAL SIGTERM
ENTRYPOINT ["stackbench"]
CMD ["--help"]
