"""``torch.nn.functional`` on the features of sparse tensors and fields: ``MinkowskiEngine.MinkowskiFunctional``.

The first group returns the same coordinates with new features; the losses take the features and return a tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ceco3d.minkowski.rowwise import rowwise

# Any: the arguments after the first are those of the function of torch.
Map = Callable[..., Any]
Loss = Callable[..., Tensor]


def _map(function: Callable[..., Tensor]) -> Map:
    def apply(input: Any, *args: Any, **kwargs: Any) -> Any:
        return rowwise(input, lambda rows: function(rows, *args, **kwargs))

    return _named(apply, function, "The same coordinates with")


def _loss(function: Callable[..., Tensor]) -> Loss:
    def apply(input: Any, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return function(input.F, target, *args, **kwargs)

    return _named(apply, function, "The loss")


def _named(apply: Callable[..., Any], function: Callable[..., Tensor], what: str) -> Callable[..., Any]:
    name = function.__name__
    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"{what} ``torch.nn.functional.{name}`` of the features; further arguments are its own."
    return apply


threshold = _map(F.threshold)
relu = _map(F.relu)
hardtanh = _map(F.hardtanh)
hardswish = _map(F.hardswish)
relu6 = _map(F.relu6)
elu = _map(F.elu)
selu = _map(F.selu)
celu = _map(F.celu)
leaky_relu = _map(F.leaky_relu)
prelu = _map(F.prelu)
rrelu = _map(F.rrelu)
glu = _map(F.glu)
gelu = _map(F.gelu)
logsigmoid = _map(F.logsigmoid)
hardshrink = _map(F.hardshrink)
tanhshrink = _map(F.tanhshrink)
softsign = _map(F.softsign)
softplus = _map(F.softplus)
softmin = _map(F.softmin)
softmax = _map(F.softmax)
softshrink = _map(F.softshrink)
gumbel_softmax = _map(F.gumbel_softmax)
log_softmax = _map(F.log_softmax)
tanh = _map(F.tanh)
sigmoid = _map(F.sigmoid)
hardsigmoid = _map(F.hardsigmoid)
silu = _map(F.silu)
batch_norm = _map(F.batch_norm)
normalize = _map(F.normalize)
linear = _map(F.linear)
dropout = _map(F.dropout)
alpha_dropout = _map(F.alpha_dropout)

binary_cross_entropy = _loss(F.binary_cross_entropy)
binary_cross_entropy_with_logits = _loss(F.binary_cross_entropy_with_logits)
poisson_nll_loss = _loss(F.poisson_nll_loss)
cross_entropy = _loss(F.cross_entropy)
hinge_embedding_loss = _loss(F.hinge_embedding_loss)
kl_div = _loss(F.kl_div)
l1_loss = _loss(F.l1_loss)
mse_loss = _loss(F.mse_loss)
multilabel_margin_loss = _loss(F.multilabel_margin_loss)
multilabel_soft_margin_loss = _loss(F.multilabel_soft_margin_loss)
multi_margin_loss = _loss(F.multi_margin_loss)
nll_loss = _loss(F.nll_loss)
smooth_l1_loss = _loss(F.smooth_l1_loss)
soft_margin_loss = _loss(F.soft_margin_loss)
