"""Count the kernel launches of a training step for an absent GPU, and time the host that issues them.

python -m tests.helpers.count_launches [MODEL] [VOXELS]
Prints two JSON lines: launches by name in three parts of a step, and milliseconds of host time. Run without
TRITON_INTERPRET.

MODEL in bf16 with a 5^3 stem and 200 classes takes a step whose Triton kernels neither compile nor run: the host code
and Triton's handling of arguments are real, the values are garbage. An operator of torch counts as one launch, or as in
SEVERAL, unless it only makes a view or allocates. Sums are split as they would be for VOXELS. Times are those of a thin
network of the same layers, whose operators take the CPU hardly any time.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
import triton
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from triton.runtime.jit import JITFunction

import ceco3d.sparse.triton
from ceco3d.losses import PointLoss, SegmentationLoss
from ceco3d.models.minkunet import VARIANTS, MinkUNet, Variant
from ceco3d.sparse import SparseTensor
from ceco3d.sparse.kernels import normalize, triton_convolve
from tests.helpers.launch_triton import Driver

CLASSES = 200
NO_LAUNCH = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "promote_types"}
SEVERAL = {"native_batch_norm": 2, "native_batch_norm_backward": 2, "sort": 4}  # in a profile of an H200
THIN = (8, 16, 24, 32, 24, 16, 8, 8)  # planes that keep every shortcut


class Launches(TorchDispatchMode):
    """Counts operators of torch and Triton launches by name."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if not func.is_view and name not in NO_LAUNCH:
            self.found[f"torch.{name}"] += SEVERAL.get(name, 1)
        return func(*args, **(kwargs or {}))

    def zeros(self, *shape: Any, **options: Any) -> Tensor:
        """In place of ``torch.empty``, and not counted: garbage would name rows that do not exist."""
        before = self.found.copy()
        made = torch.zeros(*shape, **options)
        self.found = before
        return made

    def taken(self) -> dict[str, int]:
        """What was counted since the last call."""
        found, self.found = self.found, Counter()
        return {"all": found.total()} | dict(found.most_common())


class Compiled:
    """Stands for a compiled kernel."""


@contextmanager
def absent_gpu(launches: Launches, scale: float) -> Iterator[None]:
    """Within it the layers of ``engine=triton`` choose on the CPU what they would on a GPU, and no kernel runs.

    scale  voxels of the step for each that is there
    """
    launch = JITFunction.run

    def run(kernel: JITFunction, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
        launches.found[kernel.fn.__name__] += 1
        return launch(kernel, *args, grid=grid, warmup=True, **kwargs)

    def compiled(kernel: JITFunction, key: Any, signature: Any, device: Any, *rest: Any) -> Compiled:
        return kernel.device_caches[device][0].setdefault(key, Compiled())

    def scaled(choose: Any) -> Any:
        return lambda num_out, *shape: choose(int(num_out * scale), *shape)

    with (
        patch.object(JITFunction, "run", run),
        patch.object(JITFunction, "_do_compile", compiled),
        patch.object(torch, "empty", launches.zeros),
        patch.object(normalize, "supports", lambda x: False),
        patch.object(triton_convolve, "convolve_config", scaled(triton_convolve.convolve_config)),
        patch.object(triton_convolve, "gradient_config", scaled(triton_convolve.gradient_config)),
        patch.object(triton_convolve, "tuned_config", lambda *call: None),
    ):
        yield


def walls(side: int) -> Tensor:
    """Coordinates (N, 4) int32 of three walls: as on real surfaces, a level has four times the voxels of the next."""
    axis = torch.arange(side)
    plane = torch.nn.functional.pad(torch.cartesian_prod(axis, axis), (1, 1))
    return torch.cat([plane, plane[:, [0, 1, 3, 2]], plane[:, [0, 3, 1, 2]]]).unique(dim=0).int()


class Step:
    """A training step in three parts: maps, forward pass with the loss, backward pass."""

    def __init__(self, variant: Variant, side: int) -> None:
        self.model = MinkUNet(variant, 9, CLASSES, stem_kernel=5, engine=ceco3d.sparse.triton)
        self.loss = SegmentationLoss(PointLoss(CLASSES, engine=ceco3d.sparse.triton))
        self.coordinates = walls(side)
        count = len(self.coordinates)
        self.features, self.labels = torch.zeros(count, 9), torch.zeros(count, dtype=torch.int64)

    def parts(self) -> Iterator[str]:
        """Take the step; yields the name of each part after it."""
        self.model.zero_grad(set_to_none=True)
        inputs = SparseTensor(self.features, self.coordinates)
        self.model.build_maps(inputs)
        yield "maps"
        with torch.autocast("cpu", torch.bfloat16):
            found = self.model.forward_features(inputs)
            logits = self.model.final(found).features
            value = self.loss(logits, found.features, self.labels, self.coordinates[:, 0])["loss"]
        yield "forward"
        value.backward()
        yield "backward"


def count(variant: Variant, voxels: int) -> dict[str, Any]:
    """Launches of the second step by part and name."""
    step, launches = Step(variant, 28), Launches()
    with absent_gpu(launches, voxels / len(step.coordinates)):
        list(step.parts())
        launches.taken()
        with launches:
            parts = {part: launches.taken() for part in step.parts()}
    return {"all": sum(part["all"] for part in parts.values())} | parts


def clock(variant: Variant, voxels: int) -> dict[str, float]:
    """Median milliseconds of the host for each part of a step of a thin network."""
    step, times = Step(replace(variant, planes=THIN), 20), []
    with absent_gpu(Launches(), voxels / len(step.coordinates)):
        for _ in range(11):
            before, found = time.process_time(), {}
            for part in step.parts():
                now = time.process_time()
                before, found[part] = now, 1e3 * (now - before)
            times.append(found)
    return {part: round(statistics.median(found[part] for found in times), 1) for part in times[0]}


def main(name: str = "MinkUNet34C", voxels: int = 960_000) -> None:
    triton.runtime.driver.set_active(Driver(90))
    torch.set_num_threads(1)
    supported = {"unsupported": lambda device, dtype=torch.float32: None}
    for module in [module for path, module in sys.modules.items() if path.startswith("ceco3d.")]:
        vars(module).update(supported if hasattr(module, "unsupported") else {})
    print(json.dumps(count(VARIANTS[name], voxels)), flush=True)
    print(json.dumps(clock(VARIANTS[name], voxels)), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
