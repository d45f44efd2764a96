"""Benchmarks: engines and baselines side by side, rooflines, the data path, GPU utilization.

``ceco3d.benchmarks.tune`` needs Triton and is imported by name. So is ``ceco3d.benchmarks.data``: memory is measured in
processes that import this package, and they should not load preprocessing.
"""

from ceco3d.benchmarks.compare import compare_engines
from ceco3d.benchmarks.gpu_utilization import measure_utilization
from ceco3d.benchmarks.loss import compare_loss
from ceco3d.benchmarks.roofline import time_roofline
from ceco3d.benchmarks.systems import BASELINES, System
from ceco3d.benchmarks.workload import Workload, make_workload

__all__ = [
    "BASELINES",
    "System",
    "Workload",
    "compare_engines",
    "compare_loss",
    "make_workload",
    "measure_utilization",
    "time_roofline",
]
