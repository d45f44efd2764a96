#!/usr/bin/env bash
# The whole pipeline in minutes, from nothing: generate rooms, score the weights that come with ceco3d on them, fine-tune
# these with CE + CeCo, score again, write a benchmark submission for the test rooms, label a scan nobody annotated, and
# gather it all in outputs/demo/index.html. Arguments are passed on to ceco3d.train.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/venv.sh plot
run=outputs/demo
python=.venv/bin/python
"$python" -m ceco3d.evaluate checkpoint=pretrained fragments=false out="$run/before"
"$python" -m ceco3d.train experiment=finetune name="CE + CeCo" trainer.epochs=6 trainer.batch_size=4 trainer.validate_every=3 \
  run_dir="$run" resume=auto "$@"
"$python" -m ceco3d.evaluate checkpoint="$run/checkpoints/best.pt" fragments=false out="$run/after"
scripts/export_benchmark.sh "$run/checkpoints/best.pt" tta=none fragments=false
scan=$(find data/rooms200/small-0/raw/scans_test -name '*_vh_clean_2.ply' | sort | head -1)
"$python" -m ceco3d.predict checkpoint="$run/checkpoints/best.pt" input="$scan" out="$run/scan" overwrite=true
scene=$(find data/rooms200/small-0/processed/val -mindepth 1 -maxdepth 1 -name 'scene*' | sort | head -1)
"$python" -m ceco3d.visualize scene="$scene" "runs=[pretrained,$run]" "labels=[before training,after training]" out="$run/pictures"
"$python" scripts/demo_page.py "$run"
