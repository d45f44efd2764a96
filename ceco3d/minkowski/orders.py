"""Features in two orders: that of the coordinates as they were given, and that of the keys, in which layers compute."""

from __future__ import annotations

from torch import Tensor

from ceco3d.minkowski.levels import Level


class TwoOrders:
    """Features on a level, each order made from the other when it is asked for.

    A change in place of one order reaches the other. With gradients, asking for the given order cuts off the rows that
    it came from: what happens to it, hooks included, has to reach the next layer.
    """

    def __init__(self, level: Level, features: Tensor | None = None, rows: Tensor | None = None) -> None:
        self.level = level
        one_order = level.order is None
        self._features = rows if one_order and features is None else features
        self._rows = self._features if one_order else rows
        self._stamps = (-1, -1)

    def any(self) -> Tensor:
        """Either of the two."""
        found = self._features if self._rows is None else self._rows
        assert found is not None  # one is given
        return found

    def rows(self) -> Tensor:
        """In key order."""
        features = self._features
        if self.level.order is None or features is None:
            return self.any()
        if self._rows is None or _stamp(features) != self._stamps[0]:
            rows = self.level.keyed(features)
            if features.is_inference():  # whose changes are not counted
                return rows
            self._keep(features, rows)
            return rows
        return self._rows

    def features(self) -> Tensor:
        """In the order of the coordinates."""
        rows = self._rows
        if self.level.order is None or rows is None:
            return self.any()
        if self._features is None or _stamp(rows) != self._stamps[1]:
            self._keep(self.level.featured(rows), rows)
            assert self._features is not None
            if self._features.requires_grad or self._features.is_inference():
                self._rows = None
        return self._features

    def _keep(self, features: Tensor, rows: Tensor) -> None:
        self._features, self._rows, self._stamps = features, rows, (_stamp(features), _stamp(rows))


def _stamp(values: Tensor) -> int:
    """The number of changes in place; -1 of tensors that do not count them."""
    return -1 if values.is_inference() else values._version
