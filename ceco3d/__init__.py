"""ceco3d: 3D semantic segmentation of ScanNet200 with sparse convolutions and the CeCo point-centre loss."""

import os

__version__ = "0.1.0"

# Read when torch loads its OpenMP. By default waiting threads spin: on a CPU that anything else uses too, small matrix
# products then take milliseconds instead of microseconds (25 times longer, measured beside one other process).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
