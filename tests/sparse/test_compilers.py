"""The C++ kernels from each compiler that is installed, for this and for other processors."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from ceco3d.sparse.cpp import build

CHECK = Path(__file__).with_name("check_kernels.cpp")
COMPILERS = ["g++", *(f"g++-{version}" for version in range(11, 15)), "clang++"]
X86 = {"baseline": [], "avx2": ["-march=x86-64-v3"], "avx512": ["-march=x86-64-v4"], "native": ["-march=native"]}


def compile_and_run(compiler: str, options: list[str], program: Path, runner: list[str]) -> str:
    if shutil.which(compiler) is None or not all(map(shutil.which, runner[:1])):
        pytest.skip(f"{compiler} {' '.join(runner[:1])} is not installed")
    flags = [flag for flag in build.FLAGS if flag not in ("-shared", "-fPIC")]
    sources = [CHECK, *build.SOURCES]
    command = [compiler, *flags, *options, f"-I{build.SOURCES[0].parent}", "-o", program, *sources]
    made = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    run = subprocess.run([*runner, str(program)], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def _path(compiler: str) -> Path | None:
    found = shutil.which(compiler)
    return None if found is None else Path(found).resolve()


@pytest.mark.slow
@pytest.mark.parametrize("level", X86)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_kernels_are_right_from_each_compiler(tmp_path, compiler, level):
    if platform.machine() != "x86_64" and level != "native":
        pytest.skip("a level of x86")
    levels = list(build.LEVELS)
    if level in levels and levels.index(level) > levels.index(build.best_level()):
        pytest.skip(f"this processor lacks {level}")
    if compiler.startswith("g++-") and _path(compiler) == _path("g++"):
        pytest.skip(f"{compiler} is g++")
    out = compile_and_run(compiler, X86[level], tmp_path / "check", [])
    assert "float32 convolution" in out
    assert "emulated tiles, weight gradient" in out


def test_kernels_are_right_on_arm(tmp_path):
    arm = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
    out = compile_and_run("aarch64-linux-gnu-g++", [], tmp_path / "check", arm)
    assert "emulated tiles, weight gradient" in out
