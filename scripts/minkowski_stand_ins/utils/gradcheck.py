"""``gradcheck`` of a torch of today; that of MinkowskiEngine 0.5.4 on PyPI imports what torch 2 no longer has."""

from ceco3d.minkowski.utils.gradcheck import gradcheck

__all__ = ["gradcheck"]
