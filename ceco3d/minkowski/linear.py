"""The linear layer on sparse tensors and fields."""

from __future__ import annotations

from torch import nn

from ceco3d.minkowski.rowwise import Either, rowwise


class MinkowskiLinear(nn.Module):
    """(N, in_features) -> (N, out_features) for every row; ``linear`` holds the parameters."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias=bias)

    def forward(self, input: Either) -> Either:
        """The same coordinates with ``linear`` of the features."""
        return rowwise(input, self.linear)

    def __repr__(self) -> str:
        linear = self.linear
        shape = f"in_features={linear.in_features}, out_features={linear.out_features}"
        return f"{type(self).__name__}({shape}, bias={linear.bias is not None})"
