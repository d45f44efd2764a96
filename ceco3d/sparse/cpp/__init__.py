"""C++ kernels for the CPU, and the code that compiles them."""

from ceco3d.sparse.cpp.build import LEVELS, best_level, cache_folder, compile_ahead, library, load

__all__ = ["LEVELS", "best_level", "cache_folder", "compile_ahead", "library", "load"]
