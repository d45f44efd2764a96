"""The text log of a run, and commands that start twice in one folder."""

import logging
import re
import sys

import pytest

from ceco3d.runs import begin_log, open_run
from ceco3d.runs.lock import NAME, FolderLock
from ceco3d.utils.errors import UserError

TITLE = re.compile(r"==== \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}, process \d+ on \S+: ")


def test_what_is_printed_is_appended_below_a_title_with_the_time(tmp_path, capsys):
    logger = logging.getLogger("ceco3d.test")
    for number in (1, 2):
        with open_run(tmp_path):
            print("before it begins", number)
            begin_log(tmp_path)
            logger.warning("a warning")
            logger.info("a message")
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert [bool(TITLE.match(line)) for line in lines] == [True, False, False, False] * 2
    assert lines[1:4] == ["before it begins 1", "warning: a warning", "a message"]
    assert "before it begins 1\n" in capsys.readouterr().out


def test_an_attempt_that_does_not_begin_writes_nothing(tmp_path):
    with open_run(tmp_path / "run"):
        print("already finished")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("two\nlines"), "error: two lines"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(143), "exit code 143"),
        (ZeroDivisionError("a bug"), "ZeroDivisionError: a bug"),
    ],
)
def test_the_error_that_ends_a_run_is_its_last_line(tmp_path, error, line):
    def fail():
        with open_run(tmp_path):
            begin_log(tmp_path)
            raise error

    with pytest.raises(type(error)):
        fail()
    assert (tmp_path / "run.log").read_text().splitlines()[-1] == line
    assert not (tmp_path / NAME).exists()


def test_an_error_before_the_start_is_logged_where_there_is_a_run(tmp_path):
    (tmp_path / "config.yaml").write_text("")

    def fail():
        with open_run(tmp_path):
            raise UserError("another model")

    with pytest.raises(UserError):
        fail()
    assert (tmp_path / "run.log").read_text().endswith("error: another model\n")


def test_a_refused_process_writes_nothing_into_the_run(tmp_path):
    (tmp_path / "config.yaml").write_text("")
    held = FolderLock(tmp_path)
    with pytest.raises(UserError, match="in use by"), open_run(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", NAME}
    held.release()


def test_a_run_that_is_open_can_be_opened_again_inside(tmp_path):
    with open_run(tmp_path):
        stream = sys.stdout
        with open_run(tmp_path):
            assert sys.stdout is stream
        assert (tmp_path / NAME).exists()
    assert sys.stdout is not stream


@pytest.mark.parametrize(
    ("command", "key"),
    [("train", "run_dir"), ("pretrain", "run_dir"), ("evaluate", "out"), ("export", "out")],
)
def test_commands_refuse_a_folder_in_use(run_command, tmp_path, command, key):
    held = FolderLock(tmp_path)
    arguments = ["checkpoint=none.pt"] if key == "out" else []
    outcome = run_command(command, f"{key}={tmp_path}", *arguments)
    held.release()
    assert outcome.code == 2
    assert re.fullmatch(rf"error: .*in use by process \d+ .*choose another {key}\n", outcome.err)
    assert list(tmp_path.iterdir()) == []
