"""Voxel coordinates and kernel maps."""
