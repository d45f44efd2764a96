"""CeCo on images: rooms200 rendered to small pictures, a 2D U-Net, cross-entropy with and without the centre term."""
