"""Reports killed at every change of their folder, or out of space: whole pages, or the earlier ones."""

import os
import re
import shutil

import pytest

from ceco3d.reports.run_report import write_run_report
from tests.helpers.faults import command, files_in, in_child, killed_everywhere, limit_file_size, small_disk
from tests.helpers.run_folder import write_run, write_scores

NOW = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d \S+")  # when a page was written


@pytest.fixture
def runs(tmp_path):
    return [write_run(tmp_path / name, name) for name in ("ce", "ceco")]


def table(runs, out):
    return command("report", "table", f"runs=[{','.join(map(str, runs))}]", f"out={out}")


def content(folder):
    return {
        name: NOW.sub(b"", text) for name, text in files_in(folder).items() if "leaderboard" in name or "htm" in name
    }


def test_the_report_of_a_run_killed_at_any_change(runs):
    run, moments = runs[0], []
    write_run_report(run, None)
    old = content(run)
    write_scores(run, miou=0.5)
    for moment in killed_everywhere(lambda: write_run_report(run, None), run):
        moments.append(moment)
        found = content(run)
        assert found["report.html"] == old["report.html"], moment
    new = content(run)
    assert moments
    assert new["report.html"] != old["report.html"]
    assert new.keys() == {"report.html"}, "no parts are left"


def test_a_leaderboard_killed_at_any_change(runs, tmp_path):
    out, moments = tmp_path / "out", []
    assert in_child(table(runs[:1], out)).code == 0
    old = content(out)
    for moment in killed_everywhere(table(runs, out), out):
        moments.append(moment)
        found = content(out)
        for name, text in old.items():
            assert found[name] == text or b"ceco" in found[name], (moment, name)
            if found[name] != text:
                write_back(out, old)
                break
    new = content(out)
    assert len(moments) > 5
    assert new.keys() == old.keys()
    assert all(new[name] != old[name] for name in old)


def write_back(folder, files):
    for name, text in files.items():
        (folder / name).write_bytes(text)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_leaderboard_without_space_names_the_file_and_leaves_the_earlier_one(runs, tmp_path, share):
    out = tmp_path / "out"
    assert in_child(table(runs[:1], out)).code == 0
    old = content(out)
    largest = max(path.stat().st_size for path in out.iterdir())
    ended = in_child(table(runs, out), before=limit_file_size(int(share * largest)))
    assert ended.code == 2
    assert re.fullmatch(
        r"error: .*/out/leaderboard\.\w+: File too large; raise the limit of the size of files \(ulimit -f\)\n",
        ended.err,
    )
    assert content(out) == old


def test_reports_on_a_full_disk(runs, tmp_path):
    with small_disk(tmp_path / "disk", 200 << 10) as disk:
        assert in_child(table(runs[:1], disk / "out")).code == 0
        old, run = content(disk / "out"), write_run(runs[0].with_name("copied"))
        for path in run.iterdir():
            if path.name != "confusion.npz":  # the page is then small
                shutil.copy(path, disk)
        status = os.statvfs(disk)
        (disk / "filler").write_bytes(bytes(status.f_bavail * status.f_frsize - 4096))
        for line, name in (
            (table(runs, disk / "out"), "leaderboard"),
            (command("report", f"run={disk}"), "report.html"),
        ):
            ended = in_child(line)
            assert ended.code == 2, ended.err
            assert "No space left on device; free some space or choose another folder" in ended.err
            assert name in ended.err
            assert ended.err.count("\n") == 1
        assert content(disk / "out") == old
        assert not list(disk.rglob("*.part"))
        assert not (disk / "report.html").exists()
