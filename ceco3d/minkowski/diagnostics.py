"""What a bug report needs to say."""

from __future__ import annotations

import platform

import torch

import ceco3d


def print_diagnostics() -> None:
    """Print the versions of Python, torch and ceco3d, and the GPUs; ``python -m ceco3d.doctor`` says more."""
    print(f"{platform.platform()}, Python {platform.python_version()}")
    print(f"torch {torch.__version__}, CUDA {torch.version.cuda}, available: {torch.cuda.is_available()}")
    print(f"ceco3d {ceco3d.__version__}")
    for number in range(torch.cuda.device_count()):
        print(f"GPU {number}: {torch.cuda.get_device_name(number)}")
