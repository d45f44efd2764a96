"""The text log of what is printed: no terminal codes, no traces of progress bars."""

import sys

import pytest
from rich.console import Console

from ceco3d.utils.progress import StepDisplay, fit, track
from ceco3d.utils.transcript import Transcript, transcribed


class Terminal:
    """A stream that says it is a terminal of 80 columns."""

    encoding = "utf-8"

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return True


def use_terminal(monkeypatch):
    """Make stdout and stderr a terminal, from inside a test: pytest replaces them after the fixtures."""
    stream = Terminal()
    for name, value in {"TERM": "xterm", "COLUMNS": "80", "LINES": "25"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        ("\x1b[1;31mred\x1b[0m and plain\n", ["red and plain"]),
        ("10 %\r20 %\r100 %\ndone\n", ["100 %", "done"]),
        ("windows\r\n", ["windows"]),
        ("\x1b]0;title\x07a\tb\n", ["a\tb"]),
        ("\r\x1b[2Ktraining ━━━╸   50%\r\x1b[2Ktraining ━━━━━━ 100%\nafter\n", ["after"]),
        ("no end", ["no end"]),
        ("\n", [""]),
    ],
)
def test_lines_are_as_a_reader_saw_them(tmp_path, printed, lines, capsys):
    with transcribed(tmp_path / "log", "title") as log:
        log.begin()
        for letter in printed:  # in whatever pieces they come
            sys.stdout.write(letter)
    assert (tmp_path / "log").read_text().splitlines() == ["title", *lines]
    assert capsys.readouterr().out == printed


def test_a_bar_stays_out_of_the_log_and_its_lines_get_in(tmp_path, monkeypatch):
    terminal = use_terminal(monkeypatch)
    with transcribed(tmp_path / "log", "title") as log:
        log.begin()
        with StepDisplay(0, 3) as display:
            for step in range(3):
                display.step()
                display.passing([f"epoch 1 step {step}/3", "loss 1.000"])
                print("printed beside the bar")
            display.line("validation: mIoU 1.0%")
        for _ in track(range(3), 3, "labeling"):
            pass
        Console().print("[b]a table[/b]")
    text = (tmp_path / "log").read_text()
    steps = [line for step in range(3) for line in (f"epoch 1 step {step}/3 loss 1.000", "printed beside the bar")]
    assert text.splitlines() == ["title", *steps, "validation: mIoU 1.0%", "a table"]
    assert "\x1b" not in text
    assert "━" in terminal.text


def test_lines_of_steps_fit_80_columns(monkeypatch):
    use_terminal(monkeypatch)
    parts = ["epoch 12 step 1500/50000", *(f"term{n} 1.234" for n in range(9)), "112.3k voxels/s", "lr 0.0012"]
    with StepDisplay(0, 50000) as display:
        for _ in range(10):
            display.step()
        display.passing(parts)
        console = Console(width=80, file=Terminal(), force_terminal=True, color_system=None)
        console.print(display._bar.get_renderable())
    drawn = console.file.text.rstrip("\n")
    assert len(drawn.splitlines()) == 1
    assert "epoch 12 step 1500/50000 term0 1.234" in drawn
    assert "…" not in drawn
    assert ":" in drawn[-8:]  # the time left


def test_what_does_not_fit_is_left_out_whole():
    assert fit(["first", "second", "3"], 80) == "first second 3"
    assert fit(["first", "second", "3"], 8) == "first 3"
    assert fit(["longer than that"], 8) == "longer than that"


def test_plain_lines_fit_80_columns_too(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    with StepDisplay(0, 100) as display:
        display.step()
        display.passing(["epoch 1 step 1/100", *["loss 1.234"] * 9, "lr 0.001"])
    (line,) = capsys.readouterr().out.splitlines()
    assert len(line) <= 80
    assert line.startswith("epoch 1 step 1/100 loss 1.234 loss")


def test_a_log_that_cannot_be_written_is_tried_again_and_never_stops_the_program(tmp_path):
    path = tmp_path / "gone" / "log"
    log = Transcript(path, "title")
    log.begin()
    log.line("one")
    path.parent.mkdir()
    log.line("two")
    assert path.read_text().splitlines() == ["title", "one", "two"]
