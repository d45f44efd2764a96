"""The interface of a segmentation network. Derive from ``Network`` to train one of your own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import nn

from ceco3d.sparse import Convolution, SparseTensor
from ceco3d.utils.errors import UserError


class Network(nn.Module, ABC):
    """Features for every voxel, and a linear classifier on them.

    feature_channels  channels that ``forward_features`` returns
    final             ``Convolution(feature_channels, classes, 1, bias=True)``, the classifier

    A subclass takes the keywords ``in_channels`` and ``out_channels``, sets both attributes and defines
    ``forward_features``. Its other arguments have to be plain values, because checkpoints store them. If it takes
    ``engine`` (a ``ceco3d.sparse.Engine``), it gets the engine of the run; it must not keep it, because modules cannot
    be copied.
    """

    feature_channels: int
    final: Convolution

    if TYPE_CHECKING:  # nn.Module.__call__ returns Any

        def __call__(self, x: SparseTensor) -> SparseTensor: ...

    @abstractmethod
    def forward_features(self, x: SparseTensor) -> SparseTensor:
        """(N, in_channels) at stride 1 -> (N, feature_channels) on the same voxels: the input of ``final``."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, in_channels) -> logits (N, out_channels), rows in the order of ``x``."""
        return self.final(self.forward_features(x))

    def build_maps(self, x: SparseTensor) -> None:
        """Build the levels and kernel maps of a forward pass on ``x`` ahead of it, where that saves waits for a GPU.

        Optional: layers build what is missing.
        """
        return None

    @property
    def receptive_radius(self) -> int:
        """Voxels farther than this from a voxel along an axis, counted in input voxels, do not affect it.

        Prediction in chunks needs it. UserError unless a subclass defines it.
        """
        raise UserError(
            f"{type(self).__name__} defines no receptive_radius: define it, or set overlap to a number of voxels"
        )
