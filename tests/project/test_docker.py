"""The container: the Dockerfile names files that exist, and docker_run.sh passes docker the right options."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
RECIPE = (ROOT / "Dockerfile").read_text()
RUN = ROOT / "scripts" / "docker_run.sh"
pytestmark = pytest.mark.skipif(not RUN.exists(), reason="an installed package has no scripts")


def test_copied_files_exist_and_reach_the_builder():
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"  # no data, outputs, environment
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", RECIPE, re.MULTILINE)
    sources = {source for line in copies for source in line.split()}
    assert {"ceco3d", "conf", "pyproject.toml"} <= sources
    for source in sources:
        assert (ROOT / source).exists()
        assert any(Path(source).is_relative_to(name) for name in allowed)
    assert not [name for name in allowed if name not in sources]


def test_extras_exist_and_every_stage_is_used():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (named,) = re.findall(r"requirements\.py (.+?) >", RECIPE)
    assert set(named.split()) <= set(extras)
    stages = re.findall(r"^FROM \S+ AS (\S+)$", RECIPE, re.MULTILINE)
    used = set(re.findall(r"^FROM (\S+)", RECIPE, re.MULTILINE)) | set(re.findall(r"--from=(\S+)", RECIPE))
    targets = set(re.findall(r"--target (\S+)", RECIPE))
    assert set(stages) == targets | (used & set(stages))
    assert RECIPE.rstrip().endswith("\nFROM gpu")  # the default target
    # Final images run as an unprivileged user and have no compiler.
    for name in targets | {"gpu"}:
        stage = re.search(rf"^FROM \S+ AS {name}$(.*?)(?=^FROM|\Z)", RECIPE, re.MULTILINE | re.DOTALL).group(1)
        assert re.findall(r"^USER (\S+)$", stage, re.MULTILINE)[-1] == "10001"
        assert not re.search(r"g\+\+|gcc|-dev\b", stage)


def test_cpu_and_gpu_images_have_the_same_environment():
    for pattern in (r"^(RUN .*?useradd[^\n]+)", r"^(ENV .*?matplotlib)", r"^(COPY --from=package .*?)^USER"):
        cpu, gpu = re.findall(pattern, RECIPE[RECIPE.index(" AS cpu") :], re.MULTILINE | re.DOTALL)
        assert cpu == gpu


def test_pinned_versions_meet_the_requirements():
    lines = (ROOT / "scripts/constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extras,) = re.findall(r"requirements\.py (.+?) >", RECIPE)
    for extra in [*extras.split(), "triton"]:
        project["dependencies"] += project["optional-dependencies"][extra]
    for requirement in map(Requirement, project["dependencies"]):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement
    assert f"torch=={pinned['torch']}" in (ROOT / "scripts/venv.sh").read_text()  # the version under test


def test_requirements_are_those_of_the_package():
    command = [sys.executable, "scripts/requirements.py", "las", "plot"]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert out.splitlines() == project["dependencies"] + extras["las"] + extras["plot"]


@pytest.fixture
def run(tmp_path):
    """Run docker_run.sh in an empty folder, with stand-ins for docker and nvidia-smi."""
    (tools := tmp_path / "tools").mkdir()
    (home := tmp_path / "home").mkdir()

    def tool(name, script):
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)

    def run(*arguments, docker='[ "$1" = run ] && printf "%s\\n" "$@"; exit 0', gpu=True, **environment):
        if docker is not None:
            tool("docker", docker)
        tool("nvidia-smi", "exit 0" if gpu else "exit 9")
        (tmp_path / "work").mkdir(exist_ok=True)
        return subprocess.run(
            [RUN, *arguments],
            cwd=tmp_path / "work",
            env={"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(home)} | environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run


def test_arguments_mounts_user_and_gpus(run, tmp_path):
    done = run("train", "loss=ce", "name=two words")
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    assert words[-4:] == ["ceco3d", "train", "loss=ce", "name=two words"]
    assert words[words.index("--gpus") + 1] == "all"
    assert words[words.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
    assert "--ipc=host" in words
    volumes = {words[i + 1] for i, word in enumerate(words) if word == "--volume"}
    work = tmp_path / "work"
    assert volumes == {
        f"{work}/data:/work/data",
        f"{work}/outputs:/work/outputs",
        f"{tmp_path}/home/.cache/ceco3d-docker:/cache",
    }
    assert all(Path(volume.partition(":")[0]).is_dir() for volume in volumes)
    assert "--tty" not in words


def test_environment_variables_change_the_options(run, tmp_path):
    (raw := tmp_path / "scan net").mkdir()
    done = run("doctor", RAW=str(raw), GPUS="device=1", IMAGE="mine:1", OPTIONS="--env WANDB_API_KEY")
    words = done.stdout.splitlines()
    assert words[-2:] == ["mine:1", "doctor"]
    assert f"{raw}:/raw:ro" in words
    assert words[words.index("--gpus") + 1] == "device=1"
    assert words[words.index("--env") + 1] == "WANDB_API_KEY"


def test_torchrun_replaces_the_entry_point(run):
    done = run("torchrun", "--nproc-per-node=8", "-m", "ceco3d.train")
    words = done.stdout.splitlines()
    assert words[words.index("--entrypoint") + 1] == "torchrun"
    assert words[-4:] == ["ceco3d", "--nproc-per-node=8", "-m", "ceco3d.train"]


def test_a_rootless_daemon_runs_as_root_which_is_the_caller(run):
    done = run("doctor", docker='[ "$1" = info ] && echo "[name=seccomp name=rootless]"; printf "%s\\n" "$@"')
    assert "--user\n0:0\n" in done.stdout


def test_without_a_gpu_the_cpu_image_runs(run):
    done = run("doctor", gpu=False)
    words = done.stdout.splitlines()
    assert words[-2:] == ["ceco3d:cpu", "doctor"]
    assert "--gpus" not in words
    assert done.stderr == "no GPU found: running on the CPU\n"


@pytest.mark.parametrize(
    ("docker", "environment", "message"),
    [
        ('[ "$1" != info ]', {}, "docker does not answer"),
        ('[ "$1" != image ]', {}, f"no image ceco3d: docker build -t ceco3d --target gpu {ROOT}\n"),
        ('[ "$1" != image ]', {"IMAGE": "mine:1"}, "no image mine:1: "),
        ("exit 0", {"CACHE": "/proc/none"}, "cannot create data/ and outputs/ in "),
        ("exit 0", {"RAW": "/nowhere"}, "RAW=/nowhere is not a folder"),
    ],
)
def test_errors_are_one_line(run, docker, environment, message):
    done = run("doctor", docker=docker, **environment)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_help(run):
    for arguments in ((), ("--help",)):
        done = run(*arguments)
        assert done.returncode == 0
        assert "OPTIONS" in done.stdout.splitlines()[-1]


def test_the_exit_code_is_that_of_the_command(run):
    assert run("train", docker='[ "$1" = run ] && exit 130; exit 0').returncode == 130


DRIVER = """
from triton.backends.nvidia.driver import CudaUtils
print(CudaUtils().launch)
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_triton_starts_without_a_compiler(tmp_path):
    pytest.importorskip("triton.backends.nvidia")
    for folder in ("bin", "lib", "gpu", "tools"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "scripts/triton_cc.sh", tmp_path / "bin")
    compiler = tmp_path / "bin/triton_cc.sh"
    with_python = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run([compiler, "--prepare"], check=True, env=with_python)

    # A stand-in for the GPU driver: every function that Triton needs, doing nothing.
    listing = subprocess.run(
        ["nm", "-D", tmp_path / "lib/triton-driver.so"], capture_output=True, text=True, check=True
    )
    source = "".join(f"int {name}(void) {{ return 0; }}\n" for name in re.findall(r" U (cu\w+)", listing.stdout))
    command = ["gcc", "-shared", "-fPIC", "-o", tmp_path / "gpu/libcuda.so.1", "-x", "c", "-"]
    subprocess.run(command, input=source, text=True, check=True)

    for tool in ("cmp", "cp"):
        (tmp_path / "tools" / tool).symlink_to(shutil.which(tool))
    bare = {"PATH": f"{tmp_path}/tools", "CC": str(compiler), "TRITON_CACHE_DIR": str(tmp_path / "cache")}
    bare |= {"TRITON_LIBCUDA_PATH": str(tmp_path / "gpu"), "LD_LIBRARY_PATH": str(tmp_path / "gpu")}
    done = subprocess.run([sys.executable, "-c", DRIVER], env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "launch" in done.stdout

    (tmp_path / "other.c").write_text("int main(void) { return 0; }")
    command = [compiler, tmp_path / "other.c", "-O3", "-o", tmp_path / "other"]
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no C compiler here, and ")
    assert not (tmp_path / "other").exists()
