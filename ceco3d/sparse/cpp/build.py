"""Compile the C++ kernels of this folder for this processor on first use, and load them.

``compile_ahead`` compiles them for other processors. With its folder in the environment variable CECO3D_KERNELS,
nothing is compiled and no compiler is needed.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from functools import cache
from pathlib import Path

from ceco3d.sparse.cpp.trust import load_library, make_folder, open_file, open_folder

logger = logging.getLogger(__name__)

SOURCES = sorted(Path(__file__).parent.glob("*.cpp"))
HEADERS = sorted(Path(__file__).parent.glob("*.h"))
FLAGS = ("-std=c++17", "-O3", "-fopenmp", "-shared", "-fPIC")
READY = "CECO3D_KERNELS"

_V3 = {"abm", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}
_V4 = _V3 | {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"}
# What `compile_ahead` compiles on x86, slowest first: compiler options, and the flags that /proc/cpuinfo must list.
LEVELS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "baseline": ((), set()),  # runs on every processor of the architecture; the only level outside x86
    "avx2": (("-march=x86-64-v3",), _V3),
    "avx512": (("-march=x86-64-v4",), _V4),
    "avx512-bf16": (("-march=x86-64-v4", "-mavx512bf16"), _V4 | {"avx512_bf16"}),
}


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels. Where they cannot be built: None, with one warning; plain torch then replaces them.

    From then on, this process keeps the memory that it frees: requesting large tensors again from the system, page by
    page, takes a fifth of a training step on the CPU.
    """
    try:
        kernels = load()
    except (OSError, subprocess.SubprocessError) as error:
        warnings.warn(f"the fast CPU kernels are not available ({error}): using slower ones", stacklevel=2)
        return None
    kernels.ceco3d_keep_freed_memory()
    return kernels


def load() -> ctypes.CDLL:
    """Compile once per machine and version, then load. OSError or SubprocessError with the reason when that fails.

    Where the cache folder is not writable, or others could have changed what is in it, compiles for this process alone.
    """
    if os.environ.get(READY):  # a folder that the user trusts, as PATH
        return ctypes.CDLL(str(Path(os.environ[READY]) / f"{best_level()}.so"))
    compiler = find_compiler()
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout
    name = f"kernels-{fingerprint(version)}.so"
    try:
        path = cache_folder() / name
        make_folder(path.parent)
        return _load_or_compile(compiler, path, open_folder(path.parent))
    except OSError as error:
        logger.warning(f"CPU kernels are compiled for this process alone, not kept in XDG_CACHE_HOME: {error}")
    with tempfile.TemporaryDirectory(prefix="ceco3d-") as private:  # a loaded library needs no name
        return _load_or_compile(compiler, Path(private) / name, open_folder(Path(private), parents=False))


def fingerprint(compiler: bytes = b"") -> str:
    """Tells kernels, processors and, by their ``--version``, compilers apart."""
    recipe = [" ".join(FLAGS).encode(), compiler, _processor(), *(source.read_bytes() for source in SOURCES + HEADERS)]
    return hashlib.sha256(b"|".join(recipe)).hexdigest()[:16]


def _load_or_compile(compiler: str, path: Path, folder: int) -> ctypes.CDLL:
    """The library at ``path`` in an open trusted folder, which is closed."""
    try:
        try:
            library = open_file(folder, path)
        except FileNotFoundError:
            _compile(compiler, path)
            library = open_file(folder, path)
    finally:
        os.close(folder)
    return load_library(library, path)


def compile_ahead(folder: str | Path) -> None:
    """Compile the kernels for each of ``LEVELS`` into ``folder``; ``load`` picks the fastest that runs."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for level, (options, _) in LEVELS.items():
        if level == "baseline" or platform.machine() == "x86_64":
            _compile(find_compiler(), folder / f"{level}.so", options)


def best_level() -> str:
    """The fastest of ``LEVELS`` that this processor runs."""
    found = set(_processor().decode().split())
    return [level for level, (_, needed) in LEVELS.items() if needed <= found][-1]


def cache_folder() -> Path:
    """Folder for files made for this machine; it may not exist yet. FileNotFoundError for a user without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ceco3d"
    except RuntimeError as error:
        raise FileNotFoundError("no home folder: set XDG_CACHE_HOME") from error


def find_compiler() -> str:
    """The C++ compiler. FileNotFoundError when there is none."""
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), None)
    if compiler is None:
        raise FileNotFoundError("no C++ compiler; Debian, Ubuntu: apt-get install g++")
    return compiler


def _compile(compiler: str, target: Path, options: tuple[str, ...] = ("-march=native",)) -> None:
    # Compile under another name, then rename: several processes may do this at once, and none may load half a file.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        part = Path(folder) / target.name
        command = [compiler, *FLAGS, *options, "-o", str(part), *map(str, SOURCES)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            reason = next((line for line in run.stderr.splitlines() if "error" in line), run.stderr.strip())
            raise subprocess.SubprocessError(f"{compiler} fails: {reason}")
        part.chmod(part.stat().st_mode & ~0o022)  # else others could change it, and it would not be trusted
        part.replace(target)


def _processor() -> bytes:
    """What ``-march=native`` depends on."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return f"{platform.machine()} {platform.processor()}".encode()
    first = info.read_bytes().split(b"\n\n")[0]
    return b"".join(line for line in first.splitlines() if line.startswith((b"model name", b"flags", b"Features")))
