#!/usr/bin/env bash
# scripts/pretraining_study.sh [SEED ...]: does pretraining help (docs/pretraining.md)? Runs the same short training with
# cross-entropy from random weights and from both pretraining methods. Skips finished runs, so you can stop it and start
# it again. Table: python -m ceco3d.report study study=outputs/pretraining baseline=scratch
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
[ -x "$python" ] || python=python3
common="model=minkunet14a voxel_size=0.1 features=[color] precision=bf16 dataset.size=medium resume=auto"

# shellcheck disable=SC2086 # $common is several words
pretrain() {
  "$python" -m ceco3d.pretrain $common method="$1" run_dir="outputs/pretraining-$1" "${@:2}"
}
# shellcheck disable=SC2086
train() {
  "$python" -m ceco3d.train $common loss=ce trainer.epochs=10 trainer.validate_every=5 seed="$2" name="$1" \
    run_dir="outputs/pretraining/$1-$2" "${@:3}"
}

pretrain csc trainer.epochs=60
pretrain lground trainer.epochs=60
for seed in "${@:-0}"; do
  train scratch "$seed"
  train csc "$seed" init=outputs/pretraining-csc/checkpoints/last.pt init_leave_out=[final]
  train lground "$seed" init=outputs/pretraining-lground/checkpoints/last.pt init_leave_out=[final]
done
