"""Files are complete under their name or not there."""

import errno
import json
import logging
import os
import resource
import subprocess
import sys

import pytest

from ceco3d.utils import atomic
from ceco3d.utils.atomic import check_writable, retry_on_disk_error, whole_file, write_files, write_json, write_text
from ceco3d.utils.errors import UserError
from ceco3d.utils.open_files import allow_many_open_files
from tests.helpers.faults import in_child, limit_file_size


def test_a_file_gets_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "a.json"
    with whole_file(path) as file:
        file.write(b"[1")
        assert not path.exists()
        file.write(b"]")
    assert json.loads(path.read_text()) == [1]
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_a_folder_in_the_place_of_a_file_is_named_and_stays(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(UserError, match=r"a\.json is a folder"):
        write_json(tmp_path / "a.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_an_error_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    write_json(tmp_path / "a.json", {"old": 1})

    def fill_the_disk():
        with whole_file(tmp_path / "a.json") as file:
            file.write(b"{")
            raise OSError(errno.ENOSPC, "disk full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_retried_with_a_warning(monkeypatch, caplog):
    monkeypatch.setattr(atomic, "RETRY_SECONDS", 0.0)
    errors = [OSError("disk full"), OSError("disk full")]

    def write():
        if errors:
            raise errors.pop()

    with caplog.at_level(logging.WARNING):
        retry_on_disk_error(write)
    assert [record.getMessage() for record in caplog.records] == ["disk full; next try in 0 s"] * 2


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another folder"):
        check_writable(tmp_path / "file" / "b")


def temporary_files(folder):
    return sorted(path for path in folder.iterdir() if path.name.endswith(".part"))


def test_writers_of_one_path_do_not_meet(tmp_path):
    path = tmp_path / "a.json"
    with whole_file(path) as first, whole_file(path) as second:
        assert first.name != second.name
        first.write(b"first" * 1000)
        second.write(b"second")
    assert path.read_bytes() == b"first" * 1000  # the last one to finish
    assert list(tmp_path.iterdir()) == [path]


WRITE = """
import sys
from pathlib import Path
from ceco3d.utils.atomic import write_text, whole_file
path, letter = Path(sys.argv[1]), sys.argv[2]
if letter == "killed":
    with whole_file(path) as file:
        file.write(b"half")
        file.flush()
        print("writing", flush=True)
        sys.stdin.read()
for _ in range(100):
    write_text(path, letter * 10000)
"""


def start_writer(path, letter):
    command = [sys.executable, "-c", WRITE, str(path), letter]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_processes_that_write_one_path_at_once_leave_one_whole_file(tmp_path):
    path = tmp_path / "a.txt"
    writers = [start_writer(path, letter) for letter in "abcd"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            seen.add(path.read_text())
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0] * 4
    assert {(len(text), len(set(text))) for text in seen | {path.read_text()}} == {(10000, 1)}
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path):
    path = tmp_path / "a.txt"
    writer = start_writer(path, "killed")
    assert writer.stdout.readline() == "writing\n"
    write_text(path, "whole")
    assert len(temporary_files(tmp_path)) == 1, "that of a living writer stays"
    writer.kill()
    writer.communicate()
    write_text(path, "again")
    assert list(tmp_path.iterdir()) == [path]


def test_files_of_others_stay(tmp_path):
    others = ["a.txt.part", "a.txt.123.part", "b.txt.0123456789ab.part", "a.txt.0123456789ab.part"]
    for name in others:  # the last is that of a writer on another machine
        (tmp_path / name).write_text("")
    write_text(tmp_path / "a.txt", "")
    assert {path.name for path in temporary_files(tmp_path)} == set(others)
    os.utime(tmp_path / others[-1], (1, 1))
    write_text(tmp_path / "a.txt", "")
    assert {path.name for path in temporary_files(tmp_path)} == set(others[:-1])


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127])
def test_the_longest_names_can_be_written(tmp_path, name):
    write_text(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    write_text(tmp_path / "atomic", "")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_files_that_belong_together_are_all_new_or_all_as_before(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    write_files({first: b"old", second: b"old"})
    for large in (first, second):
        contents = {path: b"new" * (100 if path == large else 1) for path in (first, second)}
        ended = in_child(lambda contents=contents: write_files(contents), before=limit_file_size(100))
        assert f"File too large: '{large}'" in ended.err
        assert [path.read_bytes() for path in (first, second)] == [b"old", b"old"]
    write_files({first: b"new", second: b"new"})
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"new", b"new"]


def test_names_that_are_no_text_are_written_as_escapes(tmp_path):
    write_text(tmp_path / "a.txt", "größe \udcff")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "größe \\udcff"


def test_the_limit_of_open_files_is_raised_as_far_as_allowed():
    def check():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
        allow_many_open_files()
        print(resource.getrlimit(resource.RLIMIT_NOFILE))

    assert in_child(check).out == "(128, 128)\n"
