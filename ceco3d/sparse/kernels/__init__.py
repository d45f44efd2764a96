"""What runs the arithmetic of a sparse convolution, given a kernel map."""
