"""Shapes of objects: primitives, and builders that turn a size, two colors and random draws into one object."""

from ceco3d.synthetic.shapes.builder import Instance, ShapeBuilder
from ceco3d.synthetic.shapes.primitives import Shape, rotate_z

__all__ = ["Instance", "Shape", "ShapeBuilder", "rotate_z"]
