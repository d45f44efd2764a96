#!/usr/bin/env bash
# scripts/docker_run.sh COMMAND [key=value ...]: run `ceco3d COMMAND ...` in a container, on all GPUs.
#
#   scripts/docker_run.sh train dataset=scannet200 dataset.raw=/raw precision=bf16    with RAW=/path/to/scannet
#   scripts/docker_run.sh torchrun --nproc-per-node=8 -m ceco3d.train run_dir=outputs/mine resume=auto
#   scripts/docker_run.sh doctor
#
# Mounts data/ and outputs/ of the current folder; files written there belong to you. Environment variables:
#   IMAGE  image to run (ceco3d; ceco3d:cpu without a GPU)   RAW    folder to mount read-only as /raw
#   GPUS   value of docker's --gpus (all)                    CACHE  folder for caches (~/.cache/ceco3d-docker)
#   OPTIONS  more options for `docker run`, such as "--env WANDB_API_KEY"
set -euo pipefail

fail() { echo "error: $*" >&2; exit 2; }

case ${1:---help} in
  -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
command -v docker >/dev/null || fail "docker is not installed; see https://docs.docker.com/engine/install"
security=$(docker info --format '{{.SecurityOptions}}' 2>/dev/null) ||
  fail "docker does not answer: is its daemon running, and may $(id -un) use it?"
user=$(id -u):$(id -g)
[[ $security != *rootless* ]] || user=0:0 # a rootless daemon: root inside is the caller outside

gpus=() image=ceco3d target=gpu
if nvidia-smi -L >/dev/null 2>&1; then
  gpus=(--gpus "${GPUS:-all}")
else
  image=ceco3d:cpu target=cpu
  echo "no GPU found: running on the CPU" >&2
fi
build="docker build -t $image --target $target $(dirname "$(dirname "$(realpath "$0")")")"
[ -z "${IMAGE:-}" ] || { image=$IMAGE build="run docker images for a list"; }
docker image inspect "$image" >/dev/null 2>&1 || fail "no image $image: $build"
[ -z "${RAW:-}" ] || [ -d "$RAW" ] || fail "RAW=$RAW is not a folder"

cache=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ceco3d-docker}
# docker would create missing folders as root.
mkdir -p data outputs "$cache" 2>/dev/null || fail "cannot create data/ and outputs/ in $PWD, or $cache"
terminal=()
[ -t 0 ] && [ -t 1 ] && terminal=(--tty)
entry=()
[ "$1" != torchrun ] || { entry=(--entrypoint torchrun); shift; }

# Loader workers pass batches through shared memory; without --ipc=host a container has only 64 MB.
read -ra options <<<"${OPTIONS:-}"
exec docker run --rm --init --interactive "${terminal[@]}" "${gpus[@]}" --ipc=host --user "$user" \
  --volume "$PWD/data:/work/data" --volume "$PWD/outputs:/work/outputs" --volume "$cache:/cache" \
  ${RAW:+--volume "$(realpath "$RAW"):/raw:ro"} "${entry[@]}" "${options[@]}" "$image" "$@"
