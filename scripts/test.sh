#!/usr/bin/env bash
# The whole test suite, from nothing. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/venv.sh test
export OMP_WAIT_POLICY=PASSIVE # as ceco3d/__init__.py, which pytest imports too late
exec .venv/bin/python -m pytest "$@"
