"""C++ kernels for the CPU and the compiler that builds them."""
