"""What several tests share."""

from __future__ import annotations

import copy
import ctypes
import gc
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.hydra import Hydra

from ceco3d.cli import logs
from ceco3d.preprocessing.datasets import make_processed
from ceco3d.sparse.cpp import cache_folder
from ceco3d.sparse.cpp.trust import find_weakness
from ceco3d.utils import parallel
from tests.helpers.commands import Outcome, settings_of

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined: it then runs on the CPU


def pytest_configure(config: pytest.Config) -> None:
    try:
        trusted = find_weakness(cache_folder()) is None
    except OSError:  # no home folder
        trusted = False
    if not trusted:  # otherwise each process that a test starts would compile the kernels again
        cache = tempfile.TemporaryDirectory(prefix="ceco3d-cache-")
        config.add_cleanup(cache.cleanup)
        os.environ["XDG_CACHE_HOME"] = cache.name
    if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores
        torch.set_num_threads(1)
        os.environ["OMP_NUM_THREADS"] = "1"  # of processes that tests start
    else:
        torch.set_num_threads(2)
    logs.install()  # as commands do, so capsys sees what is logged
    fork_workers()
    compose_quickly()


def fork_workers() -> None:
    """Start the workers of commands that run in this process in milliseconds: forks of a server without threads.

    Commands that tests run as processes start them as ever, each with its own imports.
    """
    parallel.START = "forkserver"
    multiprocessing.set_forkserver_preload(["tests.helpers.commands"])


def compose_quickly() -> None:
    """Read each file of ``conf/`` once per process, and compose once per command: it is done thousands of times."""
    read, kept = FileConfigSource.load_config, {}
    mode = Hydra.get_mode

    def load_config(self: FileConfigSource, config_path: str) -> Any:
        path = Path(self.path, self._normalize_file_name(config_path)).resolve()
        if not path.is_file():
            return read(self, config_path)
        status = path.stat()
        key = (self.provider, self.path, path, status.st_mtime_ns, status.st_size)
        if key not in kept:
            kept[key] = read(self, config_path)
        return copy.deepcopy(kept[key])

    def get_mode(self: Hydra, config_name: str | None, overrides: list[str]) -> Any:
        # Composes everything to see hydra.mode, which experiments alone set.
        set_it = any(word.startswith(("experiment=", "hydra")) for word in overrides)
        return mode(self, config_name, overrides) if set_it else None

    FileConfigSource.load_config = load_config
    Hydra.get_mode = get_mode


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu") is not None:
                item.add_marker(pytest.mark.skip(reason="needs a GPU"))
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: item.path not in slow)  # long files begin first, so that all workers end together


@pytest.fixture(autouse=True, scope="module")
def _return_memory():
    """Give back what a module has freed: commands keep it (``keep_freed_memory``), and the suite would grow to 7 GB."""
    yield
    gc.collect()
    getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: None)(0)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread for torch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run_command(monkeypatch, capsys) -> Callable[..., Outcome]:
    """Run ``python -m ceco3d.<name> <arguments>`` in this process."""

    def run(name: str, *arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        code = 0
        try:
            package = find_spec(f"ceco3d.{name}").submodule_search_locations is not None
            import_module(f"ceco3d.{name}.__main__" if package else f"ceco3d.{name}").main()
        except SystemExit as ended:
            code = ended.code or 0
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> list[str]:
    """Overrides that select rooms200 tiny, generated and preprocessed once for all tests (which must not change it)."""
    folder: Path = tmp_path_factory.mktemp("tiny")
    overrides = ["dataset.size=tiny", f"dataset.raw={folder / 'raw'}", f"dataset.root={folder / 'processed'}"]
    make_processed(settings_of("preprocess", *overrides).dataset, ("train", "val", "test"), workers=2)
    return overrides


@pytest.fixture(scope="session")
def tiny_raw(tiny) -> Path:
    """The raw root of ``tiny``."""
    return Path(settings_of("preprocess", *tiny).dataset.raw)
