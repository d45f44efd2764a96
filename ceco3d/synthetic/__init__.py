"""rooms200: a seeded generator of furnished rooms in ScanNet's raw layout, with all 200 classes."""

from ceco3d.synthetic.generate import generate_rooms

__all__ = ["generate_rooms"]
