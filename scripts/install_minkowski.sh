#!/usr/bin/env bash
# scripts/install_minkowski.sh [PYTHON]: install MinkowskiEngine 0.5.4, for engine=minkowski, into PYTHON's environment
# (default: .venv, else python3). Builds its wheel once from the sdist on PyPI and keeps it in ~/.cache/ceco3d/wheels for
# environments with the same Python and torch. The build uses CUDA if torch does and nvcc is found; that is untested.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
release=MinkowskiEngine==0.5.4

fail() { echo "error: $*" >&2; exit 2; }

python=${1:-$root/.venv/bin/python}
[ $# -gt 0 ] || [ -x "$python" ] || python=python3
command -v "$python" >/dev/null || fail "no Python at $python"
pip() { "$python" -m pip --quiet --disable-pip-version-check "$@"; }
trusted() {
  local reason
  reason=$(PYTHONPATH=$root "$python" -c 'import pathlib, sys; from ceco3d.sparse.cpp import find_weakness
print(find_weakness(pathlib.Path(sys.argv[1])) or "")' "$1")
  [ -z "$reason" ] || fail "$reason (XDG_CACHE_HOME)"
}
works() { PYTHONPATH=$root "$python" -c 'import ceco3d.sparse.minkowski'; }

check_tools() {
  local header
  command -v g++ >/dev/null || fail "no C++ compiler g++ (Debian, Ubuntu: apt-get install build-essential)"
  header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
  [ -e "$header" ] || fail "no Python headers, $header is missing (Debian, Ubuntu: apt-get install python3-dev)"
  export CPATH=${CPATH:+$CPATH:}/usr/include/openblas # Fedora keeps cblas.h here; Debian on the compiler's own path
  g++ -x c++ -o /dev/null - -lopenblas <<<$'#include <cblas.h>\nint main() { return cblas_isamax(0, nullptr, 1); }' \
    2>/dev/null || fail "no OpenBLAS headers (Debian, Ubuntu: apt-get install libopenblas-dev; elsewhere set CPATH" \
    "and LIBRARY_PATH)"
}

# build_wheel FOLDER FLAG: build in a folder next to FOLDER, which appears complete or not at all.
build_wheel() {
  work=$(mktemp -d "$1.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  # Separate build tools leave the environment untouched. setup.py calls `pip uninstall`; a stub makes that harmless.
  pip install --target "$work/tools" pip 'setuptools>=77,<85' ninja
  mkdir "$work/bin" "$work/tmp"
  printf '#!/bin/sh\n' >"$work/bin/pip"
  chmod +x "$work/bin/pip"
  # Headers that the CUDA sources use but do not include; CUDA 12 no longer includes them for us.
  NVCC_PREPEND_FLAGS=$(printf -- '-include thrust/%s.h ' execution_policy reduce remove sort unique) \
    PATH=$work/bin:$work/tools/bin:$PATH PYTHONPATH=$work/tools TMPDIR=$work/tmp \
    pip wheel --no-deps --no-build-isolation --no-binary MinkowskiEngine --wheel-dir "$work/wheel" \
    --config-settings="--global-option=$2 --blas=openblas" "$release" || fail "the build failed; see above"
  rm -rf "$1"
  mv "$work/wheel" "$1"
}

versions=$("$python" -c 'import sysconfig, numpy, torch
print(sysconfig.get_config_var("SOABI"), f"torch-{torch.__version__}", sep="-")' 2>/dev/null) ||
  fail "no torch and numpy in $python; install ceco3d there first"
if works 2>/dev/null; then
  echo "$release is ready in $python"
  exit 0
fi

flag=--cpu_only
if command -v nvcc >/dev/null && "$python" -c 'import sys, torch; sys.exit(torch.version.cuda is None)'; then
  flag=--force_cuda
fi
folder=${XDG_CACHE_HOME:-$HOME/.cache}/ceco3d/wheels/${release/==/-}-$versions$flag
umask 022
trusted "$folder" # a wheel that others could change is neither kept nor installed
if [ ! -d "$folder" ]; then
  check_tools
  mkdir -p "$(dirname "$folder")"
  echo "building $release ($flag), about five minutes on two cores"
  build_wheel "$folder" "$flag"
fi
pip install --no-deps --force-reinstall "$folder"/*.whl
works || fail "the wheel does not work; delete $folder and run this again to rebuild it"
echo "$release is ready in $python"
