#!/usr/bin/env bash
# scripts/venv.sh [EXTRA,...]: create .venv with the package and the given extras, unless that is already done.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=${1:-}

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
  echo "error: $(python3 --version) is too old; ceco3d needs Python 3.10 or newer as python3" >&2
  exit 2
}
[ -x .venv/bin/python ] || python3 -m venv .venv
stamp=".venv/installed-$(cat pyproject.toml - <<<"$extras" | cksum | cut -d' ' -f1)"
[ -e "$stamp" ] && exit 0

pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"; }
echo "installing into .venv"
if ! nvidia-smi -L >/dev/null 2>&1 && ! .venv/bin/python -c 'import torch' 2>/dev/null; then
  pip install torch==2.13.0 # no GPU: this version, whose CPU build may be available; newer ones bring gigabytes of CUDA
fi
pip install -e ".${extras:+[$extras]}"
touch "$stamp"
