"""CeCo on images: render rooms200, then train a 2D U-Net with and without the center loss."""
