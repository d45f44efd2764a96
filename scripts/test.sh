#!/usr/bin/env bash
# The whole test suite, from scratch. Arguments are passed on to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/venv.sh test
exec .venv/bin/python -m pytest "$@"
