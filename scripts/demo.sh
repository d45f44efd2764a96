#!/usr/bin/env bash
# The whole pipeline in minutes, from scratch: generate rooms, preprocess, train MinkUNet34C with CE + CeCo, score the
# validation rooms, write a benchmark submission for the test rooms. Arguments are passed on to ceco3d.train.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/venv.sh
run=outputs/demo
.venv/bin/python -m ceco3d.train run_dir="$run" resume=auto "$@"
.venv/bin/python -m ceco3d.evaluate checkpoint="$run/checkpoints/best.pt" tta=rotations
scripts/export_benchmark.sh "$run/checkpoints/best.pt"
