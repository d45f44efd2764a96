#!/usr/bin/env bash
# scripts/ablation.sh [SEED ...]: ablate the center loss (docs/results/longtail.md), one choice at a time, on rooms with a
# different seed than the study's. Skips finished runs, so you can stop it and start it again. ONLY="name ..." selects
# variants. Table: python -m ceco3d.report study study=outputs/ablation
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
[ -x "$python" ] || python=python3

# name, then the overrides on top of loss=ceco
variants="
ce                 loss=ce
ceco
weight-0.03        loss.center_weight=0.03
weight-0.2         loss.center_weight=0.2
weight-0.4         loss.center_weight=0.4
scale-5            loss.center.scale=5
scale-20           loss.center.scale=20
no-prior           loss.center.prior=null
mlp                loss.center.projector=mlp
mlp-weight-0.03    loss.center.projector=mlp loss.center_weight=0.03
mlp-weight-0.4     loss.center.projector=mlp loss.center_weight=0.4
ce-batch-1         loss=ce trainer.batch_size=1
ceco-batch-1       trainer.batch_size=1
mlp-relu           loss.center.projector=mlp loss.center.final_relu=true
linear-relu        loss.center.final_relu=true
linear-frozen      loss.center.freeze=true
linear-frozen-relu loss.center.freeze=true loss.center.final_relu=true
mlp-frozen         loss.center.projector=mlp loss.center.freeze=true
per-scene          loss.center.over=scene
learned            loss.center.classifier=learned
"

for seed in "${@:-100}"; do
  while read -r name overrides; do
    [ -n "$name" ] || continue
    [ -z "${ONLY:-}" ] || [[ " $ONLY " == *" $name "* ]] || continue
    # shellcheck disable=SC2086 # overrides are several words
    "$python" -m ceco3d.train experiment=longtail hydra.mode=RUN loss=ceco dataset.seed=1 seed="$seed" \
      name="$name" run_dir="outputs/ablation/$name-$seed" $overrides </dev/null
  done <<<"$variants"
done
