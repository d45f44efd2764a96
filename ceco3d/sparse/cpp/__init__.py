"""C++ kernels for the CPU, the code that compiles them, and the check that nobody else changed what is loaded."""

from ceco3d.sparse.cpp.build import LEVELS, best_level, cache_folder, compile_ahead, library, load
from ceco3d.sparse.cpp.trust import find_weakness

__all__ = ["LEVELS", "best_level", "cache_folder", "compile_ahead", "find_weakness", "library", "load"]
