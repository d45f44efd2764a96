"""Small programs that use parts of ceco3d."""
