"""Sizes of files and functions, exports of packages, and the maps of the folders in the documents."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.helpers.source import PACKAGE, ROOT, TOP, fenced, folder_of, functions, modules, section

MAX_LINES = 300  # of a file
MAX_FUNCTION = 60  # lines of a function besides its docstring
MODULES = modules()
FILES = sorted(MODULES.values())
PACKAGES = [name for name, path in MODULES.items() if path.name == "__init__.py" and name != "ceco3d"]

# Files below the commands that print, and why they do not log.
PRINTING = {
    "cli/endings.py": "the one line that ends a command",
    "cli/start.py": "help and version",
    "cli/logs.py": "the handler that shows what is logged",
    "cli/streams.py": "a warning about stdout itself",
    "inference/labeled_scan.py": "the table of classes that a user asked for",
    "preprocessing/labeled/check_table.py": "the table of the check",
    "minkowski/diagnostics.py": "versions that a program asked for",
    "minkowski/utils/summary.py": "the table of layers that a program asked for",
    "minkowski/__main__.py": "the one line that ends a command",
    "metrics/tables.py": "the table of scores that a user asked for",
    "utils/progress.py": "the progress display",
}


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def prints(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id == "print":
                return True
            if isinstance(called, ast.Attribute) and called.attr == "print":
                return True
    return False


def test_libraries_log_instead_of_printing():
    assert {relative(path) for path in FILES if folder_of(path) != TOP and prints(path)} == set(PRINTING)


def test_files_are_short():
    long = {relative(path): lines for path in FILES if (lines := len(path.read_text().splitlines())) > MAX_LINES}
    assert not long


def test_functions_fit_a_screen():
    long = {}
    for path in FILES:
        for function in functions(path):
            first = function.body[0]
            lines = function.end_lineno - function.lineno + 1
            if any("triton" in ast.unparse(decorator) for decorator in function.decorator_list):
                lines -= first.lineno - function.lineno  # a kernel takes each size as an argument
            if ast.get_docstring(function) is not None:
                lines -= first.end_lineno - first.lineno + 1
            if lines > MAX_FUNCTION:
                long[f"{relative(path)}: {function.name}"] = lines
    assert not long


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_exports_names_that_exist(name):
    package = import_module(name)
    assert package.__all__, f"{name} exports nothing"
    assert len(set(package.__all__)) == len(package.__all__)
    missing = [export for export in package.__all__ if not hasattr(package, export)]
    assert not missing


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_re_exports_from_its_own_folder_only(name):
    package = import_module(name)
    for export in package.__all__:
        home = getattr(getattr(package, export), "__module__", None)
        if isinstance(home, str) and home.startswith("ceco3d"):
            assert home == name or home.startswith(f"{name}."), f"{name}.{export} is defined in {home}"


def tree_of(document: str) -> str:
    """The tree of the folders: the first code block below the heading with the word "layers", in README "map"."""
    heading = "map" if document == "README.md" else "layers"
    content = section((ROOT / document).read_text(), heading)
    assert content is not None, f"{document} has no heading with the word {heading}"
    return fenced(content)[0]


def folders_of_code() -> set[str]:
    return {folder_of(path) for path in FILES} - {TOP}


def drawn(text: str) -> set[str]:
    """The folders of ceco3d that a tree of the folders names, such as "data/scenes".

    The tree begins with a line "ceco3d/". What is indented below it is in it; the first word of a line is a name. A
    folder may also be written with those above it ("data/scenes/"), and several can share a line
    ("metrics/ losses/ models/").
    """
    found: set[str] = set()
    above: list[tuple[int, str]] = []
    inside = False
    for line in text.splitlines():
        bare = re.sub(r"[│├└─┬]", " ", line)  # drawings of branches
        indent, words = len(bare) - len(bare.lstrip()), bare.split()
        if not words:
            continue
        if words[0] == "ceco3d/":
            inside, base, above = True, indent, []
            continue
        if not inside or (indent <= base and words[0].endswith("/") and (ROOT / words[0]).is_dir()):
            inside = False
            continue
        if not words[0].endswith("/"):
            continue
        above = [(depth, name) for depth, name in above if depth < indent]
        for word in words:
            if not re.fullmatch(r"[\w/]+/,?", word):
                break
            name = word.strip(",/")
            parent = above[-1][1] if above else ""
            if parent and (PACKAGE / parent / name).is_dir():
                name = f"{parent}/{name}"
            found.add(name)
        above.append((indent, name))
    return found


def test_the_layers_in_the_architecture_are_the_folders_that_exist():
    assert drawn(tree_of("docs/architecture.md")) == folders_of_code()


def test_the_map_in_the_readme_names_the_folders_that_exist():
    found = drawn(tree_of("README.md"))
    assert {name for name in found if "/" not in name} == {name for name in folders_of_code() if "/" not in name}
    assert found <= folders_of_code()


@pytest.mark.parametrize("document", ["docs/architecture.md", "README.md"])
def test_the_map_of_the_folders_names_files_that_exist(document):
    for name in re.findall(r"\b(\w+\.py)\b", tree_of(document)):
        assert list(PACKAGE.rglob(name)), f"{document} names {name}"


def test_the_reader_of_maps_sees_nested_folders():
    tree = "ceco3d/\n  train.py  commands\n  metrics/ losses/  numbers\n  data/  all\n    scenes/  files\nconf/  YAML\n"
    assert drawn(tree) == {"metrics", "losses", "data", "data/scenes"}
    assert drawn("ceco3d/\n├── sparse/  engine\n│   └── maps/  maps\n") == {"sparse", "sparse/maps"}
    assert drawn("ceco3d/\n  data/  batches\n  data/scenes/   files\n") == {"data", "data/scenes"}
