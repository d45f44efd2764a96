"""A table of the layers of a network: output shapes and numbers of parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

MEBI = 1 << 20


class Row(NamedTuple):
    """One call of one layer: its name, the shapes of its outputs, its own parameters, and those that train."""

    name: str
    shapes: list[list[int]]
    parameters: int
    trainable: int


# Any: a network takes and returns what its author chooses.
def summary(model: nn.Module, summary_input: Any) -> tuple[int, int]:
    """Print a table of the layers that ``model(summary_input)`` calls; returns all and trainable parameters.

    Sizes are in MB of 2^20 bytes with 4 bytes a value; those of the layers' outputs count twice, for their gradients.
    """
    rows = _calls(model, summary_input)
    counted = {id(value): value for value in model.parameters()}.values()
    total = sum(value.numel() for value in counted)
    trainable = sum(value.numel() for value in counted if value.requires_grad)
    outputs = sum(torch.Size(shape).numel() for row in rows for shape in row.shapes)
    inputs = summary_input.F.numel() + summary_input.C.numel()
    lines = [f"{'Layer':36} {'Output':>24} {'Parameters':>14}", "-" * 76]
    for row in rows:
        shapes = ", ".join("x".join(map(str, shape)) for shape in row.shapes)
        lines.append(f"{row.name:36} {shapes:>24} {row.parameters:>14,}")
    lines.append("-" * 76)
    lines.append(f"parameters: {total:,} ({trainable:,} trainable)")
    sizes = {"input": inputs, "outputs and gradients": 2 * outputs, "parameters": total}
    lines += [f"{what}: {4 * values / MEBI:.2f} MB" for what, values in sizes.items()]
    print("\n".join(lines))
    return total, trainable


def _calls(model: nn.Module, value: Any) -> list[Row]:
    rows: list[Row] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        outputs = output if isinstance(output, list | tuple) else [output]
        own = list(module.parameters(recurse=not any(True for _ in module.children())))
        counts = [parameter.numel() for parameter in own]
        trainable = sum(parameter.numel() for parameter in own if parameter.requires_grad)
        shapes = [list(one.shape) for one in outputs if hasattr(one, "shape")]
        rows.append(Row(f"{type(module).__name__}-{len(rows) + 1}", shapes, sum(counts), trainable))

    listed = [module for module in model.modules() if not isinstance(module, nn.Sequential | nn.ModuleList)]
    hooks = [module.register_forward_hook(note) for module in listed]
    try:
        model(value)
    finally:
        for hook in hooks:
            hook.remove()
    return rows
