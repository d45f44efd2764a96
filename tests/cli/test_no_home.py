"""Commands for a user without a home and without a folder for temporary files."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from ceco3d.data.pointclouds.ply_write import write_ply
from ceco3d.models import build_model
from tests.helpers.thin import MODEL

# In mounts of its own: /tmp and /var/tmp can only be read, but for the folder of the test.
SCRIPT = """
mount --make-rprivate / || exit 77
for folder in /tmp /var/tmp; do mount --bind $folder $folder && mount -o remount,bind,ro $folder || exit 77; done
mount --bind "$1" "$1" && mount -o remount,bind,rw "$1" || exit 77
shift
for folder in /tmp /var/tmp; do ! touch $folder/ceco3d-probe 2>/dev/null || exit 77; done
cd /proc
exec "$@"
"""

UNSET = ["env", *(word for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR", "TMP", "TEMP") for word in ("-u", name))]


@pytest.fixture
def without_home(tmp_path, request):
    """Run a command so."""

    def run(name, *arguments):
        root = str(request.config.rootpath)
        line = [sys.executable, "-m", f"ceco3d.{name}", *map(str, arguments)]
        environment = [*UNSET, "HOME=/proc/none", "TMPDIR=/proc/none", f"PYTHONPATH={root}"]
        command = ["unshare", "-m", "sh", "-c", SCRIPT, "sh", str(tmp_path), *environment, *line]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 77 or "unshare failed" in done.stderr:
            pytest.skip("no mounts of one's own here")
        return done

    return run


@pytest.mark.slow
def test_predict_and_doctor_work_and_others_work_or_say_what_they_lack(without_home, tiny, tmp_path):
    model = {"name": "MinkUNet14A", "in_channels": 3, "out_channels": 200, "stem_kernel": 3}
    setup = {"model": model, "label_space": "scannet200", "features": ["color"], "voxel_size": 0.25}
    torch.save({"setup": setup, "model": build_model(**model).state_dict()}, tmp_path / "best.pt")
    coord = np.random.default_rng(0).random((200, 3)).astype(np.float32)
    with (tmp_path / "scan.ply").open("wb") as file:
        write_ply(file, dict(zip("xyz", coord.T, strict=True)), None)
    out = tmp_path / "out"
    predicted = without_home("predict", f"checkpoint={tmp_path}/best.pt", f"input={tmp_path}/scan.ply", f"out={out}")
    assert predicted.returncode == 0, predicted.stderr
    found = without_home("doctor")
    assert found.returncode == 0, found.stderr
    assert "native on cpu: ready" in found.stdout
    for name, arguments in (
        ("train", [*tiny, *MODEL, "voxel_size=0.25", "trainer.epochs=1", f"run_dir={tmp_path}/run"]),
        ("visualize", [f"input={out}/scan.ply", f"out={out}"]),
    ):
        ended = without_home(name, *arguments)
        if ended.returncode != 0:  # where processes or figures need a temporary folder
            assert ended.returncode == 2
            assert "error: there is no writable folder for temporary files: set TMPDIR" in ended.stderr
        assert "Traceback" not in ended.stderr
