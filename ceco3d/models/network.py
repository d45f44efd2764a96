"""The interface of a segmentation network. Derive from ``Network`` to train one of your own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from torch import nn
from typing_extensions import Self

from ceco3d.sparse import Convolution, SparseTensor
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line

BACKBONE = "backbone"  # all of a network but its classifier


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
    _frozen: tuple[nn.Module, ...] = ()

    if TYPE_CHECKING:  # nn.Module.__call__ returns Any

        def __call__(self, x: SparseTensor) -> SparseTensor: ...

    @abstractmethod
    def forward_features(self, x: SparseTensor) -> SparseTensor:
        """(N, in_channels) at stride 1 -> (N, feature_channels) on the same voxels: the input of ``final``."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, in_channels) -> logits (N, out_channels), rows in the order of ``x``."""
        return self.final(self.forward_features(x))

    @property
    def stage_names(self) -> tuple[tuple[str, ...], ...]:
        """Names of the modules that learn, without ``final``, in stages from the input to the features.

        ``trainer.layer_decay`` gives each stage a learning rate. Unless a subclass says otherwise, each module is a
        stage, in the order of ``__init__``.
        """
        names = dict.fromkeys(name.partition(".")[0] for name, _ in self.named_parameters())
        return tuple((name,) for name in names if name != "final")

    def freeze(self, prefixes: Sequence[str]) -> None:
        """Keep the weights whose names start with one of ``prefixes`` as they are; ``backbone``: all but ``final``.

        Modules that are frozen as a whole stay in evaluation mode, so batch norms keep their statistics. UserError for
        a prefix without weights, and if nothing is left to train.
        """
        given, parameters = f"trainer.freeze=[{', '.join(prefixes)}]", dict(self.named_parameters())
        for prefix in prefixes:
            if prefix != BACKBONE and not any(name.startswith(prefix) for name in parameters):
                raise UserError(f"{given}: no weight starts with {one_line(prefix, 40)}; {_near(prefix, parameters)}")
        start = tuple(prefix for prefix in prefixes if prefix != BACKBONE)
        whole = BACKBONE in prefixes
        names = [*parameters, *dict(self.named_buffers())]
        frozen = {name for name in names if name.startswith(start) or (whole and not name.startswith("final."))}
        if not any(value.requires_grad for name, value in parameters.items() if name not in frozen):
            raise UserError(f"{given}: leaves nothing of the network to train; {BACKBONE} is all but the classifier")
        for name in frozen & parameters.keys():
            parameters[name].requires_grad_(False)
        inside = {path: {name for name in names if name.startswith(f"{path}.")} for path, _ in self.named_modules()}
        self._frozen = tuple(module for path, module in self.named_modules() if inside[path] and inside[path] <= frozen)

    def train(self, mode: bool = True) -> Self:
        """As of every module, but frozen modules stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

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


def _near(prefix: str, names: Iterable[str]) -> str:
    """The second half of an error about an unknown prefix: close matches among the modules, or all of them."""
    parts = [name.split(".") for name in names]
    known = dict.fromkeys(".".join(part[:depth]) for depth in (1, 2, 3) for part in parts if depth <= len(part))
    close = get_close_matches(prefix, known, n=2)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"choose {BACKBONE} or of {', '.join(dict.fromkeys(part[0] for part in parts))}"
