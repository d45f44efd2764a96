#!/usr/bin/env bash
# scripts/imbalance_study.sh [OVERRIDE ...]: losses x imbalances x seeds of experiment=imbalance (docs/long-tail.md), several
# runs side by side on one machine. Finished runs are skipped and interrupted ones go on, so you can stop it and start it
# again. Ends with the tables (python -m ceco3d.report study study=OUT). From the environment:
#   JOBS        runs side by side (2)
#   LOSSES      ("ce ceco logit_adjustment balanced_focal")
#   IMBALANCES  ("100")
#   SEEDS       ("0 1 2 3 4")
#   OUT         folder of the runs (outputs/imbalance)
#   LOGS        folder where what tables need of every run is copied as soon as it is finished, without checkpoints ("")
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
[ -x "$python" ] || python=python3
jobs=${JOBS:-2} out=${OUT:-outputs/imbalance}
threads=$(($(nproc) / jobs))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))}
mkdir -p "$out/output"
trap 'kill $(jobs -pr) 2>/dev/null; wait; exit 130' INT TERM

data=()
for word in "$@"; do
  case $word in dataset.*) data+=("$word") ;; esac
done

train() { # LOSS IMBALANCE SEED OVERRIDE...
  "$python" -m ceco3d.train experiment=imbalance hydra.mode=RUN loss="$1" dataset.imbalance="$2" seed="$3" \
    run_dir="$run" "${@:4}"
}

diagnose() { # IMBALANCE
  [ -e "$run/diagnose/diagnosis.json" ] ||
    "$python" -m ceco3d.diagnose checkpoint="$run/checkpoints/best.pt" dataset=rooms200_lt dataset.imbalance="$1" "${data[@]}"
}

measure() { # LOSS IMBALANCE SEED OVERRIDE...
  local name=$1-$2-$3 run=$out/$1-$2-$3
  if ! { train "$@" && diagnose "$2"; } </dev/null >>"$out/output/$name.txt" 2>&1; then
    echo "failed: $name, see $out/output/$name.txt" | tee -a "$out/output/failed"
    return
  fi
  echo "finished: $name"
  if [ -n "${LOGS:-}" ]; then
    mkdir -p "$LOGS/$name"
    cp -r "$run"/{config.yaml,metrics.csv,*.json,*.npz,diagnose} "$LOGS/$name"
  fi
}

rm -f "$out/output/failed"
for imbalance in ${IMBALANCES:-100}; do
  "$python" -m ceco3d.preprocess dataset=rooms200_lt dataset.imbalance="$imbalance" "${data[@]}"
  for seed in ${SEEDS:-0 1 2 3 4}; do
    for loss in ${LOSSES:-ce ceco logit_adjustment balanced_focal}; do
      while [ "$(jobs -pr | wc -l)" -ge "$jobs" ]; do wait -n || true; done
      measure "$loss" "$imbalance" "$seed" "$@" &
    done
  done
done
wait
"$python" -m ceco3d.report study study="$out"
[ -z "${LOGS:-}" ] || cp "$out"/study* "$LOGS"
[ ! -e "$out/output/failed" ]
