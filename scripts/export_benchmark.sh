#!/usr/bin/env bash
# scripts/export_benchmark.sh CHECKPOINT [key=value ...]: write a ScanNet200 submission to
# RUN_DIR/export-test/submission.zip. Takes the keys of `python -m ceco3d.export`: dataset=scannet200 split=val out=DIR tta=rotations ...
set -euo pipefail
if [ $# -lt 1 ] || [[ $1 == *=* ]]; then
  echo "usage: scripts/export_benchmark.sh CHECKPOINT [key=value ...]   e.g. outputs/demo/checkpoints/best.pt" >&2
  exit 2
fi
checkpoint=$1
shift
python=$(dirname "$0")/../.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" -m ceco3d.export checkpoint="$checkpoint" "$@"
