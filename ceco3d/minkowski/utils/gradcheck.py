"""Check the gradients of a function of this package."""

from __future__ import annotations

from typing import Any

from torch.autograd.gradcheck import gradcheck as check


def gradcheck(func: Any, inputs: Any, **options: Any) -> bool:
    """``torch.autograd.gradcheck`` of ``func.apply``; options are its own."""
    return check(lambda *values: func.apply(*values), inputs, **options)
