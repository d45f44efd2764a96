"""``python -m ceco3d.minkowski program.py ARGUMENT ...``: run a program that imports MinkowskiEngine."""

import sys

from ceco3d.minkowski.program import USAGE, run
from ceco3d.utils.errors import UserError

if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ("-h", "--help"):
        print(USAGE)
        sys.exit(0)
    try:
        run(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
