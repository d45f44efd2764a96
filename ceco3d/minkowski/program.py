"""Programs that import MinkowskiEngine, unchanged: ``install`` gives them this package under that name."""

from __future__ import annotations

import os
import runpy
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ceco3d.utils.errors import UserError

PACKAGE = "ceco3d.minkowski"
SHADOW = Path(__file__).with_name("shadow")
USAGE = "usage: python -m ceco3d.minkowski PROGRAM.py [ARGUMENT ...]   or   -m MODULE [ARGUMENT ...]"

# The files of MinkowskiEngine 0.5.4 and where their names are here. Programs import them with the package's name before
# them or without, which works because MinkowskiEngine adds its own folder to sys.path.
FILES = {
    "MinkowskiBroadcast": "broadcast",
    "MinkowskiChannelwiseConvolution": "convolution",
    "MinkowskiCommon": "common",
    "MinkowskiConvolution": "convolution",
    "MinkowskiCoordinateManager": "coordinates",
    "MinkowskiFunctional": "functional",
    "MinkowskiInterpolation": "interpolation",
    "MinkowskiKernelGenerator": "kernels",
    "MinkowskiNetwork": "network",
    "MinkowskiNonlinearity": "nonlinearity",
    "MinkowskiNormalization": "normalization",
    "MinkowskiOps": "ops",
    "MinkowskiPooling": "pooling",
    "MinkowskiPruning": "pruning",
    "MinkowskiSparseTensor": "sparse_tensor",
    "MinkowskiTensor": "modes",
    "MinkowskiTensorField": "tensor_field",
    "MinkowskiUnion": "union",
    "sparse_matrix_functions": "spmm",
}
FOLDERS = {
    "utils": ("collation", "gradcheck", "init", "quantization", "summary"),
    "modules": ("resnet_block", "senet_block"),
}
BACKEND = "MinkowskiEngineBackend"


class _Names(ModuleType):
    """A module that looks its names up in others."""

    # Any: what the other modules hold.
    def __init__(self, name: str, homes: list[ModuleType], **own: Any) -> None:
        super().__init__(name, f"Names of {PACKAGE}.")
        self._homes = homes
        self.__dict__.update(own)

    def __getattr__(self, name: str) -> Any:
        for home in self._homes if not name.startswith("__") else []:
            if name in home.__dict__:
                return home.__dict__[name]
        raise AttributeError(f"{PACKAGE} has no {name} of {self.__name__}: see docs/minkowski.md")


def install() -> None:
    """Make ``import MinkowskiEngine``, and of its submodules, give this package, in this process.

    ImportError if another MinkowskiEngine has been imported before.
    """
    package = import_module(PACKAGE)
    loaded = sys.modules.get("MinkowskiEngine", package)
    file = getattr(loaded, "__file__", None) or ""
    if loaded is not package and Path(file).parent != SHADOW:
        raise ImportError(f"MinkowskiEngine was imported before, from {file}: call {PACKAGE}.install() first")
    names: dict[str, ModuleType] = {"MinkowskiEngine": package}
    for old, new in FILES.items():
        module = package.__dict__.get(old)
        if not isinstance(module, ModuleType):
            module = _Names(old, [import_module(f"{PACKAGE}.{new}"), package])
        names |= {old: module, f"MinkowskiEngine.{old}": module}
        package.__dict__.setdefault(old, module)  # for `import MinkowskiEngine.X as name`, unless X is a class
    for folder, files in FOLDERS.items():
        for path in (folder, *(f"{folder}.{file}" for file in files)):
            names[f"MinkowskiEngine.{path}"] = import_module(f"{PACKAGE}.{path}")
    sys.modules.update(names | _backend(package))


def _backend(package: ModuleType) -> dict[str, ModuleType]:
    """The compiled part of MinkowskiEngine: its enumerations, and how it makes coordinates distinct."""
    quantization = import_module(f"{PACKAGE}.utils.quantization")
    quantize, quantize_label = quantization.quantize, quantization.quantize_label
    names = _Names(
        f"{BACKEND}._C",
        [import_module(f"{PACKAGE}.modes"), import_module(f"{PACKAGE}.coordinates"), package],
        quantize_np=quantize,
        quantize_th=quantize,
        quantize_label_np=quantize_label,
        quantize_label_th=quantize_label,
    )
    parent = ModuleType(BACKEND)
    parent.__path__ = []
    setattr(parent, "_C", names)  # noqa: B010  # mypy knows no such attribute
    return {BACKEND: parent, f"{BACKEND}._C": names}


def run(arguments: list[str]) -> None:
    """Run a program as ``python PROGRAM.py ...`` or ``python -m MODULE ...`` would, with this MinkowskiEngine.

    Processes that it starts get it too. UserError when there is no such program.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        raise UserError(USAGE)
    install()
    # A process started anew, such as a loader's worker where that is not a fork, imports the file in this folder. It
    # takes over the paths of this one if multiprocessing starts it, else the variable.
    sys.path.insert(1, str(SHADOW))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(SHADOW), *filter(None, [os.environ.get("PYTHONPATH")])])
    if arguments[0] == "-m":
        if len(arguments) < 2:
            raise UserError(USAGE)
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return
    program = Path(arguments[0])
    if not program.is_file():
        raise UserError(f"no program {program}: {USAGE}")
    sys.argv = arguments
    sys.path[0] = str(program.resolve().parent)
    runpy.run_path(str(program), run_name="__main__")
