# ceco3d in a container; docs/docker.md tells how to use it.
#
#   docker build -t ceco3d .                                NVIDIA GPUs (and the CPU)
#   docker build -t ceco3d:triton --target triton .         the same with engine=triton, which compiles in C
#   docker build -t ceco3d:cpu --target cpu .               the CPU alone: a tenth of the size
#   docker build -t ceco3d:minkowski --target minkowski .   the first with engine=minkowski

# torch's wheels bring CUDA 13.0 with them: the base needs to say so to the driver, and no more ("base", not "runtime").
ARG GPU_BASE=nvidia/cuda:13.0.1-base-ubuntu24.04
ARG GPU_DEVEL=nvidia/cuda:13.0.1-devel-ubuntu24.04
ARG CPU_BASE=debian:bookworm-slim


# --- build: an environment in /opt/venv ---------------------------------------------------------------------------

FROM ${GPU_BASE} AS build-gpu
ARG TORCH=2.13.0
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/venv/bin:$PATH
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* && python3 -m venv /opt/venv
RUN pip install "torch==$TORCH"
WORKDIR /src
COPY scripts/requirements.py pyproject.toml ./
RUN python requirements.py tensorboard wandb las pcd plot triton | pip install -r /dev/stdin
COPY README.md LICENSE ./
COPY conf conf
COPY ceco3d ceco3d
RUN pip install --no-deps . \
    && python -c 'from ceco3d.sparse.kernels import build; build.compile_ahead("/opt/venv/lib/kernels.so", "x86-64-v3")'


FROM ${CPU_BASE} AS build-cpu
ARG TORCH=2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/venv/bin:$PATH
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* && python3 -m venv /opt/venv
RUN pip install --index-url "$TORCH_INDEX" "torch==$TORCH"
WORKDIR /src
COPY scripts/requirements.py pyproject.toml ./
RUN python requirements.py tensorboard wandb las pcd plot | pip install -r /dev/stdin
COPY README.md LICENSE ./
COPY conf conf
COPY ceco3d ceco3d
RUN pip install --no-deps . \
    && python -c 'from ceco3d.sparse.kernels import build; build.compile_ahead("/opt/venv/lib/kernels.so", "x86-64-v3")'


FROM ${GPU_DEVEL} AS build-minkowski
# No GPU is there while an image is built, so nvcc must be told which ones to compile for.
ENV PIP_NO_CACHE_DIR=1 PATH=/opt/venv/bin:$PATH TORCH_CUDA_ARCH_LIST="8.0;8.6;8.9;9.0"
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends g++ libopenblas-dev python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build-gpu /opt/venv /opt/venv
COPY --from=build-gpu /src /src
COPY scripts/install_minkowski.sh /src/scripts/
RUN /src/scripts/install_minkowski.sh /opt/venv/bin/python


# --- what runs: no compilers, not root ----------------------------------------------------------------------------

FROM ${CPU_BASE} AS cpu
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libgomp1 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home ceco3d && install -d -m 1777 /cache /work
COPY --from=build-cpu /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 CECO3D_KERNELS=/opt/venv/lib/kernels.so \
    HOME=/cache XDG_CACHE_HOME=/cache MPLCONFIGDIR=/cache/matplotlib
USER 10001
WORKDIR /work
ENTRYPOINT ["ceco3d"]


FROM ${GPU_BASE} AS run-gpu
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home ceco3d && install -d -m 1777 /cache /work
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 CECO3D_KERNELS=/opt/venv/lib/kernels.so \
    HOME=/cache XDG_CACHE_HOME=/cache MPLCONFIGDIR=/cache/matplotlib TRITON_CACHE_DIR=/cache/triton
WORKDIR /work
ENTRYPOINT ["ceco3d"]


FROM run-gpu AS minkowski
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends libopenblas0-pthread \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build-minkowski /opt/venv /opt/venv
USER 10001


FROM run-gpu AS triton
# Triton compiles the C function that launches a kernel when it is first used, so this one has a compiler after all.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build-gpu /opt/venv /opt/venv
USER 10001


FROM run-gpu AS gpu
COPY --from=build-gpu /opt/venv /opt/venv
USER 10001
