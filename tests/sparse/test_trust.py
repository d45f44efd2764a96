"""Caches of compiled code: nothing that another user could have changed is loaded."""

import contextlib
import json
import logging
import os
import shutil
import stat
import subprocess
import tempfile
import warnings
from pathlib import Path

import pytest
import torch

from ceco3d.doctor import cache_lines
from ceco3d.sparse.cpp import build, trust
from tests.helpers.cpp import UNOPTIMIZED

ME, OTHER = 1000, 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")


def status(mode: int, owner: int) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, owner, owner, 0, 0, 0, 0))


@pytest.mark.parametrize("owner", [ME, 0])
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o500, 0o644])
def test_what_only_the_user_or_root_can_write_to_is_trusted(mode, owner):
    assert trust.weakness(status(mode, owner), ME) is None
    assert trust.weakness(status(mode, owner), ME, parent=True) is None


@pytest.mark.parametrize("owner", [ME, 0])
@pytest.mark.parametrize("mode", [0o775, 0o777, 0o702, 0o720])
def test_what_others_can_write_to_is_not_trusted(mode, owner):
    assert "by others" in trust.weakness(status(mode, owner), ME)
    assert "by others" in trust.weakness(status(mode, owner), ME, parent=True)
    assert "by others" in trust.weakness(status(mode | stat.S_ISVTX, owner), ME)
    assert trust.weakness(status(mode | stat.S_ISVTX, owner), ME, parent=True) is None  # /tmp


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o1777])
@pytest.mark.parametrize("parent", [False, True])
def test_what_belongs_to_another_user_is_not_trusted(mode, parent):
    assert f"user {OTHER}" in trust.weakness(status(mode, OTHER), ME, parent)
    assert f"user {ME}" in trust.weakness(status(mode, ME), 0, parent)  # root does not trust the others either


def test_made_folders_are_for_the_user_alone(tmp_path):
    before = os.umask(0)
    try:
        trust.make_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(os.stat(path).st_mode) for path in (tmp_path / "a", tmp_path / "a/b")] == [0o700] * 2
    os.close(trust.open_folder(tmp_path / "a" / "b"))
    with pytest.raises(OSError, match="exists"):
        trust.make_folder(Path(__file__) / "a")


@pytest.mark.parametrize("which", ["cache", "cache/ceco3d"])
def test_every_folder_on_the_way_counts(tmp_path, which):
    folder = tmp_path / "cache/ceco3d"
    trust.make_folder(folder)
    assert trust.find_weakness(folder) is None
    (tmp_path / which).chmod(0o777)
    with pytest.raises(trust.UntrustedError, match=f"{which} can be written to by others; chmod go-w"):
        trust.open_folder(folder)
    (tmp_path / which).chmod(0o1777)
    assert (trust.find_weakness(folder) is None) == (which == "cache")
    (tmp_path / "link").symlink_to(folder)
    assert trust.find_weakness(tmp_path / "link") == trust.find_weakness(folder)  # what counts is where it leads


def test_a_file_is_a_file_of_the_folder(tmp_path):
    (tmp_path / "real").touch(mode=0o600)
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "open").touch(mode=0o600)
    (tmp_path / "open").chmod(0o666)
    folder = trust.open_folder(tmp_path)
    os.close(trust.open_file(folder, tmp_path / "real"))
    for name, error in (("link", OSError), ("pipe", trust.UntrustedError), ("open", trust.UntrustedError)):
        with pytest.raises(error):
            trust.open_file(folder, tmp_path / name)
    with pytest.raises(FileNotFoundError):
        trust.open_file(folder, tmp_path / "nothing")
    os.close(folder)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The kernels, compiled once."""
    path = tmp_path_factory.mktemp("compiled") / "kernels.so"
    before = os.umask(0)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(build, "FLAGS", UNOPTIMIZED)
            build._compile(build.find_compiler(), path)
    finally:
        os.umask(before)
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch, compiled):
    """The cache folder with kernels; private folders are made in ``tmp_path/private``."""
    monkeypatch.delenv("CECO3D_KERNELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "private"))
    monkeypatch.setattr(build, "_compile", lambda compiler, target: shutil.copy(compiled, target))
    (tmp_path / "private").mkdir()
    build.load()
    return tmp_path / "cache/ceco3d"


def test_compiled_kernels_are_writable_by_the_user_alone(compiled):
    assert stat.S_IMODE(compiled.stat().st_mode) & 0o022 == 0


def plant(library: Path) -> Path:
    """Replace a library by one that leaves a file when it is loaded."""
    trace = library.parent.parent / "trace"
    code = f'#include <cstdio>\n__attribute__((constructor)) static void run() {{ fclose(fopen("{trace}", "w")); }}'
    subprocess.run(
        [build.find_compiler(), "-shared", "-fPIC", "-x", "c++", "-o", str(library), "-"],
        input=code, text=True, check=True,
    )  # fmt: skip
    return trace


def open_folder_to_all(folder: Path, library: Path) -> None:
    folder.chmod(0o777)


def open_parent_to_all(folder: Path, library: Path) -> None:
    folder.parent.chmod(0o777)


def open_file_to_all(folder: Path, library: Path) -> None:
    library.chmod(0o777)


def link_to_a_file(folder: Path, library: Path) -> None:
    library.symlink_to(library.rename(folder.parent / "elsewhere.so"))


def give_folder_away(folder: Path, library: Path) -> None:
    os.chown(folder, OTHER, OTHER)


def give_parent_away(folder: Path, library: Path) -> None:
    os.chown(folder.parent, OTHER, OTHER)


def give_file_away(folder: Path, library: Path) -> None:
    os.chown(library, OTHER, OTHER)


ATTACKS = [
    open_folder_to_all,
    open_parent_to_all,
    open_file_to_all,
    link_to_a_file,
    pytest.param(give_folder_away, marks=as_root),
    pytest.param(give_parent_away, marks=as_root),
    pytest.param(give_file_away, marks=as_root),
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_planted_library_is_not_loaded(cache, monkeypatch, caplog, attack):
    (library,) = cache.iterdir()
    trace = plant(library)
    attack(cache, library)
    with caplog.at_level(logging.INFO):
        assert build.load().ceco3d_panel() > 0
    assert not trace.exists()
    (line,) = caplog.messages
    assert str(cache.parent) in line
    assert "this process alone" in line
    assert "\n" not in line
    assert not list(Path(tempfile.gettempdir()).iterdir())  # nothing is left behind
    lines = [line for line in cache_lines() if line.startswith(f"cache {cache}")]
    assert ["NOT TRUSTED" in line for line in lines] == [True]


def test_a_trusted_library_is_loaded_without_a_word(cache, caplog):
    (library,) = cache.iterdir()
    trace = plant(library)
    with caplog.at_level(logging.INFO):
        assert not hasattr(build.load(), "ceco3d_panel")
    assert trace.exists()
    assert not caplog.messages
    assert next(line for line in cache_lines() if line.startswith(f"cache {cache}")).endswith("only you can change it")


def test_a_library_replaced_after_the_check_is_not_loaded(cache, monkeypatch):
    (library,) = cache.iterdir()
    check = trust.load_library

    def replace_first(descriptor, path):
        library.unlink()
        plant(library)
        return check(descriptor, path)

    monkeypatch.setattr(build, "load_library", replace_first)
    assert build.load().ceco3d_panel() > 0
    assert not (cache.parent / "trace").exists()


def test_a_user_without_a_home_compiles_for_the_process(cache, monkeypatch, caplog):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: Path("~nobody-at-all").expanduser())
    assert build.load().ceco3d_panel() > 0
    assert "no home folder" in caplog.messages[-1]


@pytest.mark.parametrize("attack", [open_folder_to_all, open_file_to_all, link_to_a_file, *ATTACKS[4:]])
def test_planted_sizes_of_triton_kernels_are_not_read(tmp_path, monkeypatch, attack):
    triton_tuned = pytest.importorskip("ceco3d.sparse.kernels.triton_tuned")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    triton_tuned._read.cache_clear()
    sizes = {"BLOCK_N": 16, "BLOCK_K": 16, "CHUNKS": 1, "SPLIT_K": 1, "num_warps": 4, "num_stages": 3}
    before = os.umask(0)
    try:
        path = triton_tuned.store_tuned(torch.device("cpu"), {"convolve": {"shape": sizes}})
    finally:
        os.umask(before)
    assert vars(triton_tuned.tuned_config("convolve", torch.device("cpu"), "shape")) == sizes
    triton_tuned._read.cache_clear()
    attack(path.parent, path)
    with pytest.warns(UserWarning, match=r"cannot use .*triton"):
        assert triton_tuned.tuned_config("convolve", torch.device("cpu"), "shape") is None
    with warnings.catch_warnings():  # warned once
        warnings.simplefilter("error")
        triton_tuned.tuned_config("convolve", torch.device("cpu"), "shape")
    with pytest.raises(OSError, match="cache"):
        triton_tuned.store_tuned(torch.device("cpu"), {"convolve": {"other": sizes}})
    with contextlib.suppress(OSError):
        assert list(json.loads(path.read_text())["convolve"]) == ["shape"]  # as before
    triton_tuned._read.cache_clear()
