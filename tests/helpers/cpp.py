"""The C++ kernels compiled in a fifth of the time, for tests in which their speed is not the point."""

from ceco3d.sparse.cpp import build

# What the compiler makes of the sources with the flags that ship is tested in tests/sparse/test_compilers.py.
UNOPTIMIZED = tuple("-O0" if flag == "-O3" else flag for flag in build.FLAGS)
