"""Print the requirements of the package in this folder, for pip: python requirements.py [EXTRA ...].

An image installs them before the source, so a change of the source alone does not reinstall them. Needs Python 3.11.
"""

import sys
from pathlib import Path

import tomllib

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
for extra in sys.argv[1:]:
    project["dependencies"] += project["optional-dependencies"][extra]
print(*project["dependencies"], sep="\n")
