"""The arithmetic of a sparse convolution, given a kernel map.

The Triton modules need Triton: import them where they are used.
"""

from ceco3d.sparse.kernels.protocol import Kernels

__all__ = ["Kernels"]
