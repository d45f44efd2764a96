"""The systems to compare: engines of ceco3d and baseline libraries, each in one precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import torch

from ceco3d.benchmarks.ocnn_layers import ocnn_layers
from ceco3d.benchmarks.spconv_layers import spconv_layers
from ceco3d.sparse import ENGINES, Engine, load_engine
from ceco3d.sparse.kernels.triton_launch import unsupported
from ceco3d.utils.device import PRECISIONS
from ceco3d.utils.errors import UserError

# {name: its module that says whether float32 products use TF32, and under which name}
BASELINES = {
    "spconv-triton": ("spconv_triton.constants", "SPCONV_ALLOW_TF32"),
    "spconv": ("spconv.constants", "SPCONV_ALLOW_TF32"),
    "ocnn": ("ocnn.nn.kernels.config", "allow_tf32"),
}


@dataclass(frozen=True)
class System:
    """An engine or a baseline, and the precision of its convolutions."""

    engine: str
    precision: str

    @classmethod
    def named(cls, name: str) -> System:
        """Parse ``ENGINE-PRECISION``; UserError for an unknown name."""
        engine, _, precision = name.rpartition("-")
        if engine not in (*ENGINES, *BASELINES) or precision not in PRECISIONS:
            raise UserError(
                f"systems: unknown system {name}; use ENGINE-PRECISION with one of "
                f"{', '.join((*ENGINES, *BASELINES))} and one of {', '.join(PRECISIONS)}"
            )
        return cls(engine, precision)

    def __str__(self) -> str:
        return f"{self.engine}-{self.precision}"

    @property
    def is_baseline(self) -> bool:
        """Whether this is a library other than the engines of ceco3d."""
        return self.engine in BASELINES

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that convolutions multiply in."""
        return PRECISIONS[self.precision]

    def layers(self) -> Engine:
        """The engine, or the layers of a baseline; ImportError or ValueError where it is not installed."""
        if not self.is_baseline:
            return load_engine(self.engine)
        return cast(Engine, ocnn_layers() if self.engine == "ocnn" else spconv_layers(self.engine.replace("-", "_")))

    def unusable(self, device: torch.device) -> str | None:
        """Why this system cannot run on ``device``, or None."""
        try:
            self.layers()
        except (ImportError, ValueError) as error:
            return str(error)
        if self.precision == "tf32" and device.type == "cpu":
            return "only GPUs have tf32"
        if self.engine == "minkowski" and self.precision != "fp32":
            return "MinkowskiEngine computes in float32 only"
        if self.engine == "spconv" and self.precision == "bf16":
            return "spconv 2.3 does not support bfloat16"
        if self.is_baseline and device.type == "cpu":
            return "it needs a GPU"
        return unsupported(device, self.dtype) if self.engine == "triton" else None

    def autocast(self, device: torch.device) -> torch.autocast:
        """A context in which convolutions compute in ``dtype``."""
        return torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32)

    @contextmanager
    def matmul_precision(self) -> Iterator[None]:
        """A context in which float32 products use TF32 if, and only if, ``precision`` is "tf32"."""
        allow_tf32 = self.precision == "tf32"
        baseline = _baseline_tf32(*BASELINES[self.engine], allow_tf32) if self.is_baseline else nullcontext()
        with float32_matmul_precision(self.precision), baseline:
            yield


@contextmanager
def float32_matmul_precision(precision: str) -> Iterator[None]:
    """A context in which torch's float32 products use TF32 for precision "tf32" and are exact for others."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def _baseline_tf32(module: str, name: str, allow: bool) -> Iterator[None]:
    """A context that sets a baseline's own TF32 switch; 1^3 kernels follow torch's."""
    switches: Any = import_module(module)
    before = getattr(switches, name)
    setattr(switches, name, allow)
    try:
        yield
    finally:
        setattr(switches, name, before)
