"""scripts/demo_page.py: the last step of the demo."""

import json
import subprocess
import sys

import pytest

from tests.helpers.source import ROOT

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c4890000000a49444154789c6360000000020001 e221bc33"
    "0000000049454e44ae426082".replace(" ", "")
)


def scores(miou: float) -> str:
    groups = {name: {"present": miou, "union": miou, "zero_filled": miou} for name in ("miou", "head", "common")}
    return json.dumps(groups | {"tail": {"present": None}, "per_class": {"wall": miou, "chair": None, "<b>": 0.1}})


@pytest.fixture
def run(tmp_path):
    for name, miou in (("before", 0.25), ("after", 0.5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(scores(miou))
    for name in ("pictures", "scan"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "room.png").write_bytes(PIXEL)
    return tmp_path


def make(*arguments):
    return subprocess.run([sys.executable, ROOT / "scripts/demo_page.py", *arguments], capture_output=True, text=True)


def test_the_page_has_scores_bars_and_pictures(run):
    done = make(run)
    assert (done.returncode, done.stdout) == (0, f"look at it: {run / 'index.html'}\n"), done.stderr
    page = (run / "index.html").read_text()
    assert "Content-Security-Policy" in page
    for text in ("25.0", "50.0", "25 → 50", 'href="pictures/room.html"', 'href="scan/room.html"', "34.0", "&lt;b&gt;"):
        assert text in page
    assert page.count("data:image/png;base64,") == 2
    assert "<td>-</td>" in page  # the tail has no score
    assert "come along\npython -m ceco3d.train" in page  # a command on each line


@pytest.mark.parametrize("arguments", [[], ["a", "b"]])
def test_wrong_arguments_are_one_line(arguments):
    done = make(*arguments)
    assert (done.returncode, done.stderr) == (2, "error: usage: python scripts/demo_page.py RUN_DIR\n")


def test_a_missing_part_is_named(run):
    (run / "after" / "metrics.json").unlink()
    done = make(run)
    assert done.returncode == 2
    assert done.stderr == f"error: {run / 'after/metrics.json'} is missing: run scripts/demo.sh again\n"
