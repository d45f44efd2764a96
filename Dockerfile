# ceco3d in a container; see docs/docker.md.
#
#   docker build -t ceco3d .                                NVIDIA GPUs, and the CPU
#   docker build -t ceco3d:cpu --target cpu .               the CPU only, without gigabytes of CUDA
#   docker build -t ceco3d:minkowski --target minkowski .   the first image plus engine=minkowski
#
# All stages use the same Ubuntu, so an environment built in one runs in another. NVIDIA's smallest image, "base", is
# enough: torch's wheels bring the CUDA 13.0 libraries, and "base" tells the driver which CUDA they need.
ARG CPU_BASE=ubuntu:24.04
ARG GPU_BASE=nvidia/cuda:13.0.2-base-ubuntu24.04
ARG GPU_DEVEL=nvidia/cuda:13.0.2-devel-ubuntu24.04


# --- build: what rarely changes comes first, each part in a folder that becomes a layer of /opt/venv -------------------

FROM ${CPU_BASE} AS tools
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/venv/bin:$PATH
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* && python3 -m venv /opt/venv
WORKDIR /src
COPY scripts/constraints.txt scripts/

FROM tools AS torch-gpu
RUN pip install -c scripts/constraints.txt torch triton
COPY scripts/triton_cc.sh /opt/venv/bin/
RUN triton_cc.sh --prepare

FROM tools AS torch-cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install -c scripts/constraints.txt --extra-index-url "$TORCH_INDEX" torch

# For both images, on top of the small torch: pip does not install again what is already there.
FROM torch-cpu AS package
COPY scripts/requirements.py pyproject.toml ./
RUN python requirements.py tensorboard wandb las pcd mesh plot >requirements.txt \
    && pip install -c scripts/constraints.txt --prefix /opt/needs -r requirements.txt
COPY ceco3d/sparse/cpp kernels
RUN PYTHONPATH=kernels python -c 'import build; build.compile_ahead("/opt/package/lib/ceco3d-kernels")'
COPY README.md LICENSE ./
COPY conf conf
COPY ceco3d ceco3d
RUN pip install --no-deps --prefix /opt/package .

FROM ${GPU_DEVEL} AS minkowski-engine
# An image is built without a GPU, so nvcc must be told which ones to compile for.
ENV PIP_NO_CACHE_DIR=1 PATH=/opt/venv/bin:$PATH TORCH_CUDA_ARCH_LIST="8.0;8.6;8.9;9.0"
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends g++ libopenblas-dev python3-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=torch-gpu /opt/venv /opt/venv
COPY --from=package /opt/needs /opt/venv
WORKDIR /src
COPY scripts/install_minkowski.sh scripts/
COPY ceco3d ceco3d
RUN scripts/install_minkowski.sh /opt/venv/bin/python \
    && pip install --no-deps --ignore-installed --prefix /opt/minkowski /root/.cache/ceco3d/wheels/*/*.whl


# --- run: no compilers, not root ----------------------------------------------------------------------------------------

FROM ${CPU_BASE} AS cpu
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libgomp1 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --home-dir /cache ceco3d && install -d -m 1777 /cache /work
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 CECO3D_KERNELS=/opt/venv/lib/ceco3d-kernels \
    USER=ceco3d HOME=/cache XDG_CACHE_HOME=/cache MPLCONFIGDIR=/cache/matplotlib
COPY --from=torch-cpu /opt/venv /opt/venv
COPY --from=package /opt/needs /opt/venv
COPY --from=package /opt/package /opt/venv
USER 10001
WORKDIR /work
ENTRYPOINT ["ceco3d"]

FROM ${GPU_BASE} AS gpu
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libgomp1 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --home-dir /cache ceco3d && install -d -m 1777 /cache /work
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 CECO3D_KERNELS=/opt/venv/lib/ceco3d-kernels \
    USER=ceco3d HOME=/cache XDG_CACHE_HOME=/cache MPLCONFIGDIR=/cache/matplotlib \
    TRITON_CACHE_DIR=/cache/triton CC=triton_cc.sh
COPY --from=torch-gpu /opt/venv /opt/venv
COPY --from=package /opt/needs /opt/venv
COPY --from=package /opt/package /opt/venv
USER 10001
WORKDIR /work
ENTRYPOINT ["ceco3d"]

FROM gpu AS minkowski
USER 0
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends libopenblas0-pthread && rm -rf /var/lib/apt/lists/*
COPY --from=minkowski-engine /opt/minkowski /opt/venv
USER 10001

# docker builds the last stage by default.
FROM gpu
