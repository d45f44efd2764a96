"""Print for pip what the package of this folder needs, with the extras named: python requirements.py [EXTRA ...].

So that an image installs that before the source, and keeps it when only the source changes. Needs Python 3.11.
"""

import sys
from pathlib import Path

import tomllib

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
for extra in sys.argv[1:]:
    project["dependencies"] += project["optional-dependencies"][extra]
print(*project["dependencies"], sep="\n")
