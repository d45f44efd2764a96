"""What ``import MinkowskiEngine`` finds in a process that a program started: ``ceco3d.minkowski``."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))  # for a checkout that is not installed

from ceco3d.minkowski.program import install

install()  # puts the package in the place of this module
