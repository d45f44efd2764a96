"""``python -m ceco3d.doctor``: what is installed, what works, what is missing and how to get it."""

from __future__ import annotations

from ceco3d.cli.start import start

if __name__ == "__main__":
    start("doctor")  # answers --help and wrong keys before the imports below, which take seconds

import importlib.metadata
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from ceco3d.cli.app import command
from ceco3d.cli.catalog import config_dir
from ceco3d.models.identify import identify
from ceco3d.models.pretrained import WeightsPath
from ceco3d.sparse.cpp.build import READY, best_level, cache_folder, load
from ceco3d.sparse.cpp.trust import find_weakness
from ceco3d.sparse.engine import describe_engine
from ceco3d.sparse.kernels.cpu_rates import bf16_gain, rates
from ceco3d.sparse.kernels.triton_launch import unsupported
from ceco3d.utils.components import Component
from ceco3d.utils.device import choose_precision, describe_precision
from ceco3d.utils.errors import UserError
from ceco3d.utils.plain_text import visible
from ceco3d.utils.settings import CommonSettings, Count, FilePath, settings

CORE = ("torch", "numpy", "scipy", "plyfile", "hydra-core", "rich", "safetensors")
EXTRAS = {
    "triton": "pip install 'ceco3d[triton]'     # engine=triton on a GPU",
    "wandb": "pip install 'ceco3d[wandb]'       # logger=wandb",
    "tensorboard": "pip install 'ceco3d[tensorboard]' # logger=tensorboard",
    "open3d": "pip install 'ceco3d[view]'        # visualize window=true",
    "laspy": "pip install 'ceco3d[las]'         # .las and .laz files",
    "python-neo-lzf": "pip install 'ceco3d[pcd]'        # compressed .pcd files",
    "trimesh": "pip install 'ceco3d[mesh]'       # .glb, .gltf and .stl files",
    "pye57": "pip install 'ceco3d[e57]'        # .e57 files",
    "distributed": "pip install 'ceco3d[cluster]'    # executor=dask",
    "matplotlib": "pip install 'ceco3d[plot]'        # python -m ceco3d.visualize",
}


@settings
class DoctorSettings(CommonSettings):
    """conf/doctor.yaml."""

    data: FilePath
    model: Component
    checkpoint: WeightsPath | None = None
    warm: bool = False
    channels: Count = 9
    classes: Count = 200
    voxels: Count = 1_000_000


@command("doctor", DoctorSettings)
def main(settings: DoctorSettings) -> None:
    """Print the report; exit code 0 whatever is missing. With ``warm=true``, compile the Triton kernels first.

    With ``checkpoint``, say what that file is instead.
    """
    if settings.checkpoint is not None:
        print(visible(settings.checkpoint))
        for line in identify(settings.checkpoint):
            print(f"  {visible(line)}")
        return
    if settings.warm:
        print(f"kernels\n  {warm_kernels(settings)}")
    for title, lines in (
        ("ceco3d", system_lines()),
        ("packages", package_lines()),
        ("devices", device_lines()),
        ("engines", engine_lines()),
        ("data", data_lines(settings.data)),
    ):
        print(title)
        for line in lines:
            print(f"  {line}")


def system_lines() -> Iterator[str]:
    """Versions and where the configuration lies."""
    yield f"version {version('ceco3d') or 'not installed (runs from the checkout)'}, Python {platform.python_version()}"
    yield f"configuration {config_dir()}"


def package_lines() -> Iterator[str]:
    """Required and optional packages."""
    for name in CORE:
        yield f"{name:14} {version(name) or 'MISSING: pip install ceco3d'}"
    for name, hint in EXTRAS.items():
        yield f"{name:14} {version(name) or f'not installed, optional: {hint}'}"


def device_lines() -> Iterator[str]:
    """Processors torch can use."""
    yield f"cpu: {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads, ready"
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            yield f"cuda:{index}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB, ready"
    elif torch.version.cuda is None:
        yield "cuda: this torch is a CPU build; for a GPU install the CUDA build from https://pytorch.org"
    else:
        yield "cuda: no GPU visible; check nvidia-smi (in Docker: --gpus all)"


def engine_lines() -> Iterator[str]:
    """Runs one small convolution on every engine and device."""
    yield f"CPU kernels: {cpu_kernels()}"
    yield from cache_lines()
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    for device in devices:
        yield f"default on {device}: {default_choices(torch.device(device))}"
    for device in devices:
        yield f"native on {device}: {try_engine('native', device)}"
    for device in devices:
        reason = unsupported(torch.device(device))
        yield f"triton on {device}: {try_engine('triton', device) if reason is None else f'no: {reason}'}"
    if version("MinkowskiEngine") is None:
        yield "minkowski: not installed, optional: scripts/install_minkowski.sh"
        return
    for device in devices:
        yield f"minkowski on {device}: {try_engine('minkowski', device)}"


def default_choices(device: torch.device) -> str:
    """What computes on ``device`` unless keys say otherwise, and why."""
    dtype = choose_precision(None, device)
    return f"engine {describe_engine('auto', device, dtype)}, precision {describe_precision(None, device, dtype)}"


def warm_kernels(settings: DoctorSettings) -> str:
    """Compile the Triton kernels of ``settings.model`` for this GPU; UserError without one that runs them."""
    from ceco3d.models.warm import Warming, warm
    from ceco3d.training.build import network_arguments

    device = torch.device("cuda", 0)
    reason = unsupported(device) if torch.cuda.is_available() else "torch sees none here"
    if reason is not None:
        raise UserError(f"warm=true: needs a GPU that runs the Triton kernels, but {reason}")
    major, minor = torch.cuda.get_device_capability(device)
    dtype, started = choose_precision(settings.precision, device), time.monotonic()
    network = {
        "settings": network_arguments(settings.model),
        "in_channels": settings.channels,
        "out_channels": settings.classes,
    }
    what = Warming(network, dtype, settings.precision == "tf32", settings.voxels, 10 * major + minor)
    variants, new = warm(what, settings.workers or os.cpu_count() or 1)
    seconds = time.monotonic() - started
    return f"{variants} Triton kernels of {settings.model.name}, {new} of them compiled now, in {seconds:.0f} s"


def cpu_kernels() -> str:
    """What the compiled kernels compute in, or why there are none."""
    try:
        load()
    except (OSError, subprocess.SubprocessError) as error:
        return f"not compiled, slower ones are used: {error}"
    made = f"compiled ahead for {best_level()}" if os.environ.get(READY) else "compiled for this processor"
    measured = ", ".join(f"{name} {rate:.0f}" for name, rate in rates().items())
    return f"{made}; GFLOP/s: {measured}; precision=auto takes {'bf16' if bf16_gain() > 1 else 'fp32'}"


def cache_lines() -> Iterator[str]:
    """Folders that code is loaded from, and whether somebody else could have changed it."""
    triton = Path(
        os.environ.get("TRITON_CACHE_DIR") or Path(os.environ.get("TRITON_HOME") or "~") / ".triton" / "cache"
    )
    try:
        folders = {"XDG_CACHE_HOME": cache_folder(), "TRITON_CACHE_DIR": triton.expanduser()}
    except (OSError, RuntimeError) as error:
        yield f"caches: none, {error}"
        return
    if os.environ.get(READY):
        folders[READY] = Path(os.environ[READY])
    for name, folder in folders.items():
        reason = find_weakness(folder)
        yield f"cache {folder}: " + ("only you can change it" if reason is None else f"NOT TRUSTED ({name}): {reason}")


def try_engine(engine: str, device: str) -> str:
    """ "ready", or why the engine fails."""
    from ceco3d.sparse import SparseTensor, load_engine

    try:
        coordinates = torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.int32, device=device)
        layer = load_engine(engine).Convolution(1, 2, 3).to(device)
        layer(SparseTensor(torch.ones(2, 1, device=device), coordinates)).features.sum().backward()
    except Exception as error:
        return f"FAILS: {error}"
    return "ready"


def data_lines(folder: Path) -> Iterator[str]:
    """Data sets found under ``folder``."""
    roots = sorted(path.parent for path in folder.glob("**/train") if path.is_dir())
    for root in roots:
        counts = {split: len(list((root / split).glob("[!.]*"))) for split in ("train", "val", "test")}
        yield f"{root}: " + ", ".join(f"{count} {split}" for split, count in counts.items())
    if not roots:
        yield "none yet; `python -m ceco3d.train` generates rooms200, data/README.md tells how to get ScanNet"


def version(name: str) -> str | None:
    """Installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
