"""A MinkUNet of few channels, for tests in which the network is not the point."""

from __future__ import annotations

from ceco3d import sparse
from ceco3d.models.blocks import BasicBlock
from ceco3d.models.minkunet import MinkUNet, Variant

# The layers of MinkUNet14A with few channels: trainings and interpreted kernels take a fraction of the time.
THIN = Variant(BasicBlock, (1,) * 8, (16, 16, 16, 16, 16, 16, 24, 24))
MODEL = ["model=minkunet14a", "model._target_=tests.helpers.thin.ThinUNet", "model.stem_kernel=3"]  # overrides


class ThinUNet(MinkUNet):
    """``THIN`` with the arguments of ``build_model``; commands take it with ``MODEL``."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stem_kernel: int = 3,
        bn_momentum: float = 0.1,
        engine: sparse.Engine = sparse,
        init: str = "uniform",
        name: str = "",
    ) -> None:
        super().__init__(THIN, in_channels, out_channels, stem_kernel, bn_momentum, engine, init)
