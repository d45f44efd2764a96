"""The Python of README.md that labels points, as printed."""

from __future__ import annotations

from plyfile import PlyData

from tests.helpers.source import ROOT, fenced, section


def code() -> str:
    content = section((ROOT / "README.md").read_text(), "Label your own scans")
    assert content is not None
    return fenced(content, "python")[0]


def test_the_example_is_ten_lines_and_runs_as_printed(tmp_path, monkeypatch, capsys):
    assert len([line for line in code().splitlines() if line.strip()]) <= 10
    monkeypatch.chdir(tmp_path)
    exec(compile(code(), "README.md", "exec"), {})
    assert len(PlyData.read("labeled.ply")["vertex"]["label"]) == 2000
    assert capsys.readouterr().out
