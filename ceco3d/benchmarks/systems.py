"""What is compared: engines of ceco3d and libraries that users would take instead, each in a precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import cast
from unittest.mock import patch

import torch

from ceco3d.benchmarks.spconv_layers import spconv_layers
from ceco3d.sparse import ENGINES, Engine, load_engine
from ceco3d.sparse.kernels.triton_launch import unsupported
from ceco3d.utils.device import PRECISIONS
from ceco3d.utils.errors import UserError

PEERS = {"spconv-triton": "spconv_triton", "spconv": "spconv"}  # the packages they are


@dataclass(frozen=True)
class System:
    """An engine or a peer, and what its convolutions compute in."""

    engine: str
    precision: str

    @classmethod
    def named(cls, name: str) -> System:
        """``ENGINE-PRECISION``; UserError for another name."""
        engine, _, precision = name.rpartition("-")
        if engine not in (*ENGINES, *PEERS) or precision not in PRECISIONS:
            raise UserError(
                f"systems: {name} is none; ENGINE-PRECISION with {', '.join((*ENGINES, *PEERS))} and "
                f"{', '.join(PRECISIONS)}"
            )
        return cls(engine, precision)

    def __str__(self) -> str:
        return f"{self.engine}-{self.precision}"

    @property
    def peer(self) -> bool:
        """Whether it is a library outside of ceco3d.sparse."""
        return self.engine in PEERS

    @property
    def dtype(self) -> torch.dtype:
        """What its convolutions multiply."""
        return PRECISIONS[self.precision]

    def layers(self) -> Engine:
        """The engine; ImportError or ValueError where they are not installed."""
        return cast(Engine, spconv_layers(PEERS[self.engine])) if self.peer else load_engine(self.engine)

    def unusable(self, device: torch.device) -> str | None:
        """Why it cannot be measured on ``device``; None where nothing is known against it."""
        try:
            self.layers()
        except (ImportError, ValueError) as error:
            return str(error)
        if self.precision == "tf32" and device.type == "cpu":
            return "only GPUs have tf32"
        if self.engine == "minkowski" and self.precision != "fp32":
            return "MinkowskiEngine computes in float32 only"
        if self.engine == "spconv" and self.precision == "bf16":
            return "spconv 2.3 takes no bfloat16"
        if self.peer and device.type == "cpu":
            return "it needs a GPU"
        return unsupported(device, self.dtype) if self.engine == "triton" else None

    def autocast(self, device: torch.device) -> torch.autocast:
        """Within it convolutions compute in ``dtype``."""
        return torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32)

    @contextmanager
    def products(self) -> Iterator[None]:
        """Within it float32 products are rounded to TF32 if ``precision`` says so, and only then."""
        with float32_products(self.precision), self._switch():
            yield

    def _switch(self) -> AbstractContextManager:
        """spconv's own setting; its 1^3 kernels follow torch's."""
        if not self.peer:
            return nullcontext()
        constants = import_module(f"{PEERS[self.engine]}.constants")
        return patch.object(constants, "SPCONV_ALLOW_TF32", self.precision == "tf32")


@contextmanager
def float32_products(precision: str) -> Iterator[None]:
    """Within it torch's float32 products are TF32 for precision "tf32", exact for others; then as before."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
