"""The built wheel works outside the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VIEWER = ("page.html", "view.js", "three.min.js")
WEIGHTS = ("models/pretrained.safetensors", "pretraining/anchors-minilm.safetensors")


@pytest.mark.slow
def test_wheel_carries_the_configuration_and_the_types_and_finds_its_files(tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT]
    subprocess.run(pip, check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("ceco3d-*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    packaged = {str(p.relative_to(site / "ceco3d/conf")) for p in (site / "ceco3d/conf").rglob("*.yaml")}
    assert packaged == {str(p.relative_to(ROOT / "conf")) for p in (ROOT / "conf").rglob("*.yaml")}
    for name in ("py.typed", *WEIGHTS, *(f"visualization/{name}" for name in VIEWER)):
        assert (site / "ceco3d" / name).is_file()
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from ceco3d.train import main; main()"
    run = [sys.executable, "-c", code, "--cfg", "job"]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "MinkUNet34C" in done.stdout
