"""scripts/slurm.sbatch with stand-ins for Slurm and torchrun: what it starts, and how it requeues itself."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/slurm.sbatch"
STANDINS = {
    "scontrol": 'echo "scontrol $*" >> "$LOG"; [ "$1" = show ] && printf "node7\\nnode8\\n"; exit 0',
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
    "torchrun": 'echo "torchrun $* OMP=$OMP_NUM_THREADS" >> "$LOG"; trap "echo saved >> $LOG; exit 143" TERM\n'
    'for _ in $(seq 100); do [ -e "$LOG.finish" ] && exit 3; sleep 0.1; done',
}


@pytest.fixture
def job(tmp_path):
    """Start the script as Slurm would; the stand-ins log their calls to ``tmp_path/log``."""
    folder = tmp_path / ".venv/bin"
    folder.mkdir(parents=True)
    for name, body in STANDINS.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (folder / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "LOG": str(tmp_path / "log"),
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_JOB_ID": "12345",
        "SLURM_JOB_NODELIST": "node[7-8]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_GPUS_ON_NODE": "4",
    }
    environment.pop("OMP_NUM_THREADS", None)

    def start(*arguments):
        return subprocess.Popen(["bash", SCRIPT, *arguments], env=environment, stderr=subprocess.PIPE, text=True)

    return start


def wait_for(path, text):
    end = time.monotonic() + 20
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_time_limit_saves_and_requeues(job, tmp_path):
    process, log = job("run_dir=outputs/a", "dataset=scannet200"), tmp_path / "log"
    wait_for(log, "torchrun")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=20) == 0
    started = next(line for line in log.read_text().splitlines() if line.startswith("torchrun"))
    for part in (
        "--nnodes=2 --nproc-per-node=4",
        "--rdzv-endpoint=node7:2",
        "-m ceco3d.train resume=auto run_dir=outputs/a dataset=scannet200 OMP=1",
    ):
        assert part in started
    assert log.read_text().splitlines()[-2:] == ["saved", "scontrol requeue 12345"]


def test_a_failed_run_fails_the_job(job, tmp_path):
    (tmp_path / "log.finish").touch()
    process = job("run_dir=outputs/a")
    assert process.wait(timeout=20) == 3
    assert "requeue" not in (tmp_path / "log").read_text()


def test_a_run_folder_is_required(job):
    process = job("dataset=scannet200")
    assert process.wait(timeout=20) == 2
    assert "run_dir=outputs/NAME" in process.stderr.read()
