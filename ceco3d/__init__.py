"""ceco3d: 3D semantic segmentation of ScanNet200 with sparse convolutions and the CeCo point-center loss."""

import os

__version__ = "0.1.0"

# Read when OpenMP and torch are loaded; the user's own settings take precedence. Figures: docs/performance.md
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # threads that wait soon leave their core to others
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # large pages for large tensors
