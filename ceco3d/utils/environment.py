"""Record the environment of a command beside its results."""

from __future__ import annotations

import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from ceco3d.utils.atomic import write_json
from ceco3d.utils.distributed import world


def write_environment(folder: Path, device: torch.device) -> None:
    """Write ``environment.json``: the command line as typed and its folder, versions, device, number of processes."""
    gpu = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    content = {
        "command": shlex.join(sys.orig_argv),
        "folder": str(Path.cwd()),
        "ceco3d": version("ceco3d"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": f"{device.type}{gpu}",
        "threads": torch.get_num_threads(),
        "processes": world(),
    }
    write_json(folder / "environment.json", content)
