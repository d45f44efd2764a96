"""One process for each folder: who is refused, and which locks are taken over."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from ceco3d.runs import lock
from ceco3d.runs.lock import NAME, FolderLock, HeldError, read_holder
from ceco3d.utils.errors import UserError
from ceco3d.utils.processes import this_process

HOLD = """
import sys, time
from pathlib import Path
from ceco3d.runs.lock import FolderLock, HeldError
try:
    held = FolderLock(Path(sys.argv[1]))
except HeldError as error:
    print("refused", flush=True)
else:
    print("held", flush=True)
    sys.stdin.read()
    held.release()
"""


def holder_process(folder):
    command = [sys.executable, "-c", HOLD, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def rewrite(path, process=None, **changes):
    """Change the content of a lock file in place, as if another process had written it."""
    content = json.loads(path.read_text())
    content["process"] |= process or {}
    path.write_text(json.dumps(content | changes))


@pytest.fixture
def abandoned(tmp_path):
    """The lock file of a killed process."""
    process = holder_process(tmp_path / "run")
    assert process.stdout.readline() == "held\n"
    process.kill()
    process.communicate()
    return tmp_path / "run" / NAME


@pytest.fixture
def living(tmp_path):
    """The lock file of a process that runs."""
    process = holder_process(tmp_path / "run")
    assert process.stdout.readline() == "held\n"
    yield tmp_path / "run" / NAME
    process.communicate()


def test_a_second_process_ends_with_one_line_before_anything_is_written(living):
    before = sorted(path.name for path in living.parent.iterdir())
    with pytest.raises(
        HeldError, match=r"run: in use by process \d+ on .+ since \d{4}-.+; wait for it or stop"
    ) as error:
        FolderLock(living.parent)
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in living.parent.iterdir()) == before == [NAME]
    holder = read_holder(living)
    assert holder.process.host == this_process().host
    assert holder.process.pid != os.getpid()


def test_the_lock_and_a_folder_made_for_it_are_gone_after_use(tmp_path):
    FolderLock(tmp_path / "new" / "run").release()
    assert list(tmp_path.iterdir()) == []
    held = FolderLock(tmp_path / "run")
    (tmp_path / "run/config.yaml").write_text("")
    held.release()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]


def test_the_lock_of_a_killed_process_is_taken_over(abandoned, caplog):
    held = FolderLock(abandoned.parent)
    assert read_holder(abandoned).process.pid == os.getpid()
    assert "taking over from process" in caplog.text
    held.release()
    assert not abandoned.parent.exists() or list(abandoned.parent.iterdir()) == []


def test_another_process_with_the_number_of_the_dead_one_does_not_hold_the_lock(abandoned):
    rewrite(abandoned, {"pid": os.getpid(), "started": this_process().started - 1})
    FolderLock(abandoned.parent).release()


def test_a_lock_of_another_machine_is_refused_and_says_how_to_remove_it(abandoned):
    rewrite(abandoned, {"host": "node7", "boot": "another", "machine": "another"})
    with pytest.raises(HeldError, match=r"on node7 .*as far as can be told.*delete .*run\.lock and start again"):
        FolderLock(abandoned.parent)
    abandoned.unlink()
    FolderLock(abandoned.parent).release()


def test_a_lock_from_before_the_machine_booted_is_taken_over(abandoned, monkeypatch):
    monkeypatch.setattr("ceco3d.utils.processes._machine", lambda: "this")
    rewrite(abandoned, {"machine": "this", "boot": "the last"})
    FolderLock(abandoned.parent).release()
    monkeypatch.setattr("ceco3d.utils.processes._machine", lambda: "")  # then the same name may be another machine's


def test_machines_without_an_id_are_not_told_apart_by_name(abandoned, monkeypatch):
    monkeypatch.setattr("ceco3d.utils.processes._machine", lambda: "")
    rewrite(abandoned, {"machine": "", "boot": "another"})
    with pytest.raises(HeldError, match="as far as can be told"):
        FolderLock(abandoned.parent)


def test_another_container_of_the_machine_holds_the_lock_while_it_runs(living):
    rewrite(living, {"space": "pid:[1]", "pid": 1, "host": "container"})
    with pytest.raises(HeldError, match="process 1 on container") as error:
        FolderLock(living.parent)
    assert error.value.alive


@pytest.mark.parametrize("locked", [True, False])
def test_another_container_that_is_gone_is_known_by_the_lock_of_the_kernel(abandoned, locked):
    rewrite(abandoned, {"space": "pid:[1]", "pid": 1}, locked=locked)
    if locked:
        FolderLock(abandoned.parent).release()
    else:
        with pytest.raises(HeldError, match="as far as can be told"):
            FolderLock(abandoned.parent)


@pytest.mark.parametrize(("job", "restarts", "free"), [("7", "1", True), ("7", "0", False), ("8", "1", False)])
def test_a_requeued_slurm_job_takes_over_from_itself_on_any_machine(abandoned, monkeypatch, job, restarts, free):
    rewrite(abandoned, {"boot": "another", "machine": "another"}, job="7", restarts=0)
    monkeypatch.setenv("SLURM_JOB_ID", job)
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    if free:
        FolderLock(abandoned.parent).release()
    else:
        with pytest.raises(HeldError):
            FolderLock(abandoned.parent)


def test_a_copy_of_the_folder_of_a_running_process_is_free(living, tmp_path):
    shutil.copytree(living.parent, tmp_path / "copy")
    FolderLock(tmp_path / "copy").release()


def test_an_unreadable_lock_is_taken_over_where_no_process_holds_it(tmp_path, monkeypatch):
    path = tmp_path / NAME
    path.write_text("")
    os.utime(path, (1, 1))
    FolderLock(tmp_path).release()
    path.write_text("{}")
    os.utime(path, (1, 1))
    monkeypatch.setattr(lock, "lock_file", lambda _: None)  # a file system without locks
    with pytest.raises(HeldError, match="cannot be read; if no other process uses the folder, delete this file"):
        FolderLock(tmp_path)


def test_file_systems_without_locks_and_links_work_too(abandoned, monkeypatch, tmp_path):
    def refuse(*_):
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(lock, "lock_file", lambda _: None)
    monkeypatch.setattr(lock, "SETTLING_SECONDS", 0.01)
    held = FolderLock(tmp_path / "other")
    with pytest.raises(HeldError):
        FolderLock(tmp_path / "other")
    held.release()
    FolderLock(abandoned.parent).release()


def test_of_many_processes_that_find_a_stale_lock_one_gets_it(abandoned):
    processes = [holder_process(abandoned.parent) for _ in range(6)]
    said = [process.stdout.readline().strip() for process in processes]
    for process in processes:
        process.communicate()
    assert sorted(said) == ["held"] + ["refused"] * 5


def test_a_forked_child_neither_holds_nor_releases_the_lock(tmp_path):
    held = FolderLock(tmp_path)
    child = os.fork()
    if not child:
        held.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert read_holder(tmp_path / NAME).process.pid == os.getpid()
    held.release()
    assert not (tmp_path / NAME).exists()


def test_a_lock_that_somebody_removed_is_not_taken_from_its_next_holder(tmp_path):
    first = FolderLock(tmp_path)
    (tmp_path / NAME).unlink()
    second = FolderLock(tmp_path)
    first.release()
    assert (tmp_path / NAME).exists()
    second.release()


def test_waiting_ends_when_the_holder_does(tmp_path, caplog):
    process = holder_process(tmp_path)
    assert process.stdout.readline() == "held\n"
    process.stdin.close()
    FolderLock(tmp_path, wait=True).release()
    process.wait()


def test_an_impossible_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another folder"):
        FolderLock(tmp_path / "file" / "run")


def test_a_terminated_process_gives_the_folder_back(tmp_path):
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom ceco3d.runs import open_run\n"
        "with open_run(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert not (tmp_path / "run").exists()


def test_the_holder_names_the_process_and_the_time(tmp_path):
    held = FolderLock(tmp_path)
    holder = read_holder(tmp_path / NAME)
    assert replace(holder.process) == this_process()
    assert holder.since.startswith(time.strftime("%Y-"))
    held.release()


def test_a_command_whose_names_are_no_text_gives_the_folder_back(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.orig_argv", ["train", "run_dir=\udcff"])
    FolderLock(tmp_path).release()
    assert not list(tmp_path.iterdir())
