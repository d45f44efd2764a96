"""Print what the package needs, with the extras named on the command line, for pip: python requirements.py [EXTRA ...].

So that an image installs that before the source, and keeps it when only the source changes. Needs Python 3.11.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).resolve().parent / "pyproject.toml").read_text())["project"]
for extra in sys.argv[1:]:
    project["dependencies"] += project["optional-dependencies"][extra]
print(*project["dependencies"], sep="\n")
