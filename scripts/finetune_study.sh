#!/usr/bin/env bash
# scripts/finetune_study.sh [SEED ...]: does fine-tuning to other classes help (docs/fine-tuning.md)? Seven classes on five
# scans of other synthetic rooms, from random weights and from a checkpoint with the classes of ScanNet200, with equal
# steps; five of the seven have a row in it. Skips finished runs, so you can stop it and start it again.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
[ -x "$python" ] || python=python3
out=outputs/finetuning
common="model=minkunet14a voxel_size=0.1 features=[color] loss=ce resume=auto"
start=outputs/finetuning-start

mkdir -p outputs
cat >$out-classes.csv <<'CLASSES'
id,name,alias
0,wall,
1,floor,
2,furniture,3|5|9|11|14|19
4,chair,
6,table,12
7,opening,8
10,fixture,13|15|16|17|18
CLASSES

# shellcheck disable=SC2086 # $common is several words
train() { # NAME SEED OVERRIDE...: labels are the training indices of ScanNet20, which the class file puts together
  "$python" -m ceco3d.train dataset=folder dataset.name=seven dataset.raw=data/rooms200/tiny-1/processed \
    dataset.root=$out-scenes dataset.classes=$out-classes.csv dataset.labels=segment20 \
    'dataset.splits.train=train/scene000[0-3]*' 'dataset.splits.val=[train/scene000[4-9]*,train/scene001*,val/*]' \
    $common trainer.epochs=20 trainer.validate_every=10 seed="$2" name="$1" run_dir="$out/$1-$2" "${@:3}"
}

"$python" -m ceco3d.preprocess dataset.size=tiny dataset.seed=1
# shellcheck disable=SC2086
"$python" -m ceco3d.train $common trainer.epochs=25 trainer.validate_every=25 run_dir=$start
for seed in "${@:-0}"; do
  train random "$seed" optimizer.lr=0.003
  train finetuned "$seed" experiment=finetune init=$start/checkpoints/last.pt trainer.epochs=20
  train frozen "$seed" experiment=finetune init=$start/checkpoints/last.pt 'trainer.freeze=[backbone]' optimizer.lr=0.003
done
"$python" -m ceco3d.report study study=$out baseline=random
