"""Commands whose output goes nowhere: the reader has left, the disk is full, stdout is closed."""

import json
import os
import subprocess
import sys

import pytest
import torch

from ceco3d.data.scenes.processed import list_scenes
from ceco3d.models import build_model
from tests.helpers.faults import command, in_child
from tests.helpers.run_folder import write_run


@pytest.fixture(scope="module")
def given(tiny, tiny_raw, tmp_path_factory):
    """What the arguments below name."""
    folder = tmp_path_factory.mktemp("given")
    model = {"name": "MinkUNet14A", "in_channels": 3, "out_channels": 200, "stem_kernel": 3}
    setup = {"model": model, "label_space": "scannet200", "features": ["color"], "voxel_size": 0.25}
    torch.save({"setup": setup, "model": build_model(**model).state_dict()}, folder / "best.pt")
    write_run(folder / "run")
    return {
        "checkpoint": f"checkpoint={folder}/best.pt",
        "tiny": tiny,
        "scan": next((tiny_raw / "scans_test").glob("*/*_vh_clean_2.ply")),
        "run": folder / "run",
    }


COMMANDS = {
    "doctor": ([], []),
    "report": (["table", "runs=[{run}]", "out={out}"], ["leaderboard.html", "leaderboard.csv", "leaderboard.md"]),
    "evaluate": (["{checkpoint}", "{tiny}", "out={out}"], ["metrics.json", "scores.md", "report.html"]),
    "export": (["{checkpoint}", "{tiny}", "split=val", "out={out}"], ["submission.zip", "scores.json", "scores.md"]),
    "predict": (["{checkpoint}", "input=[{scan},{run}/b.ply]", "out={out}"], ["b.ply", "b.labels.txt"]),
    "preprocess": (["{tiny}", "dataset.root={out}", "workers=1", "splits=[test]"], ["preprocess.json", "test"]),
}
OTHERS = ("full", "closed")


def arguments_of(name, given, out):
    for text in COMMANDS[name][0]:
        if text == "{tiny}":
            yield from given["tiny"]
        else:
            yield text.format(out=out, **{key: value for key, value in given.items() if key != "tiny"})


def lead_to(kind):
    """``before`` of ``in_child``: stdout leads to a pipe that nobody reads, to a full disk, or nowhere."""

    def change():
        if kind == "closed":
            os.close(1)
            sys.stdout = None
            return
        if kind == "unread":
            reader, number = os.pipe()
            os.close(reader)
        else:
            number = os.open("/dev/full", os.O_WRONLY)
        os.dup2(number, 1)
        os.close(number)

    return change


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, "unread") for name in COMMANDS), *((name, kind) for name in ("doctor", "report") for kind in OTHERS)],
)
def test_a_command_does_its_work_without_a_reader(name, kind, given, tmp_path):
    (given["run"] / "b.ply").write_bytes(given["scan"].read_bytes())
    ended = in_child(command(name, *arguments_of(name, given, tmp_path / "out")), before=lead_to(kind))
    assert ended.code == 0, ended.err
    for words in ("Traceback", "Exception ignored", "Broken pipe", "Logging error"):
        assert words not in ended.err
    warned = "warning: stdout: No space left on device; some of the output is lost"
    assert ended.err.count(warned) == (kind == "full")
    for file in COMMANDS[name][1]:
        assert (tmp_path / "out" / file).exists()
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("arguments", [["ceco3d", "--help"], ["ceco3d.train", "--help"], ["ceco3d.train", "--version"]])
def test_help_to_a_reader_that_has_left(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", *arguments], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_text_that_the_locale_lacks_is_printed_as_escapes():
    code = "from ceco3d.cli.streams import open_streams; open_streams(); print('größe \\udcff 日本')"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    assert done.stdout == rb"gr\xf6\xdfe \udcff \u65e5\u672c" + b"\n"


def test_files_do_not_get_the_number_of_a_closed_stream(tmp_path):
    code = (
        "import os; from ceco3d.cli.streams import open_streams; open_streams(); print('out');"
        f"file = open({str(tmp_path / 'file')!r}, 'w'); os.write(1, b'from C'); print(file.fileno(), file=file)"
    )
    closed = 'exec "$@" <&- >&- 2>&-'
    subprocess.run(["bash", "-c", closed, "bash", sys.executable, "-c", code], check=True)
    assert int((tmp_path / "file").read_text()) > 2


def test_names_that_are_no_ascii_are_right_in_an_ascii_locale(tmp_path):
    raw, root = tmp_path / "räume", tmp_path / "größe"
    for split, name in (("train", "Büro"), ("val", "Küche 日本")):
        (raw / split).mkdir(parents=True)
        rows = "".join(f"{n % 7}.5,{n % 5}.5,0.5,{1 + n % 2}\n" for n in range(50))
        (raw / split / f"{name}.csv").write_text(f"x,y,z,label\n{rows}")
    (raw / "classes.csv").write_text("id,name\n1,Tür\n2,Fenster\n", encoding="utf-8")
    ascii_only = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    arguments = ["dataset=folder", f"dataset.raw={raw}", f"dataset.root={root}", "workers=1"]
    line = [sys.executable, "-m", "ceco3d.preprocess", *arguments]
    done = subprocess.run(line, capture_output=True, env=ascii_only)
    assert done.returncode == 0, done.stderr
    assert rb"T\xfcr" in done.stdout
    assert json.loads((root / "classes.json").read_bytes())["names"] == ["Tür", "Fenster"]
    assert [scene.name for scene in list_scenes(root, "val")] == ["Küche_日本"]
