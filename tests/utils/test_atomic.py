"""Files are complete under their name or not there."""

import errno
import json
import logging

import pytest

from ceco3d.utils import atomic
from ceco3d.utils.atomic import check_writable, retry_on_disk_error, whole_file, write_json
from ceco3d.utils.errors import UserError


def test_a_file_gets_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "a.json"
    with whole_file(path) as file:
        file.write(b"[1")
        assert not path.exists()
        file.write(b"]")
    assert json.loads(path.read_text()) == [1]
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


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
