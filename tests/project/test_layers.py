"""The layers of ceco3d: an import points down, and no two folders import each other."""

from __future__ import annotations

import graphlib
from collections import defaultdict

import pytest

from ceco3d.__main__ import COMMANDS
from tests.helpers.source import PACKAGE, ROOT, TOP, folder_of, imported_modules, imports_of, modules

# From the commands down; folders of one line do not import each other.
LAYERS = (
    (TOP,),
    ("serving",),
    ("api",),
    ("cli",),
    ("reports",),
    ("benchmarks",),
    ("pretraining",),
    ("training",),
    ("visualization",),
    ("inference",),
    ("runs",),
    ("preprocessing/layouts",),
    ("preprocessing/labeled",),
    ("preprocessing",),
    ("synthetic",),
    ("synthetic/catalog",),
    ("synthetic/shapes",),
    ("metrics", "losses", "models"),
    ("data",),
    ("data/pointclouds",),
    ("data/transforms",),
    ("data/scenes",),
    ("data/labels",),
    ("minkowski/shadow", "minkowski/modules"),
    ("minkowski",),
    ("minkowski/utils",),
    ("utils",),
    ("sparse",),
    ("sparse/kernels",),
    ("sparse/maps",),
    ("sparse/cpp",),
)
LEVEL = {folder: number for number, line in enumerate(LAYERS) for folder in line}
MODULES = modules()
IMPORTS = [
    (name, other, line, top) for name, path in MODULES.items() for other, line, top in imported_modules(path, MODULES)
]


def test_the_list_of_layers_names_every_folder_with_code():
    assert set(LEVEL) == {folder_of(path) for path in MODULES.values()}


def test_every_import_points_down():
    upward = []
    for name, other, line, _ in IMPORTS:
        importer, imported = folder_of(MODULES[name]), folder_of(MODULES[other])
        if other == "ceco3d":  # the version
            continue
        if importer != imported and LEVEL[importer] >= LEVEL[imported]:
            upward.append(f"{name}:{line} imports {other}: {importer} is not above {imported}")
    assert not upward, "\n".join(upward)


def test_no_two_folders_import_each_other():
    pairs = {(folder_of(MODULES[name]), folder_of(MODULES[other])) for name, other, *_ in IMPORTS if other != "ceco3d"}
    mutual = {(a, b) for a, b in pairs if a < b and (b, a) in pairs}
    assert not mutual


def test_modules_import_each_other_in_no_circle():
    graph: dict[str, set[str]] = defaultdict(set)
    for name, other, _, top in IMPORTS:
        if top and other != name:
            graph[name].add(other)
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the circle


def test_no_command_imports_another():
    found = [(name, other) for name, other, *_ in IMPORTS if folder_of(MODULES[other]) == TOP]
    found = [pair for pair in found if "ceco3d" not in pair]  # the package names two of them, for type checkers
    assert not found


def test_only_commands_are_at_the_top_level():
    assert {path.stem for path in PACKAGE.glob("*.py")} == {*COMMANDS, "__init__", "__main__"}


def test_sparse_stands_alone():
    others = [(name, other) for name, other, *_ in IMPORTS if folder_of(MODULES[name]).startswith("sparse")]
    assert others
    assert all(other.startswith("ceco3d.sparse") for _, other in others)


@pytest.mark.parametrize("package", ["hydra", "omegaconf"])
def test_only_the_command_line_knows_hydra(package):
    users = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in MODULES.values()
        for name, line, _ in imports_of(path)
        if name.split(".")[0] == package and folder_of(path) != "cli"
    ]
    assert not users


def test_data_folders_import_no_module_of_data_above_them():
    for name, other, line, _ in IMPORTS:
        if folder_of(MODULES[name]).startswith("data/"):
            assert folder_of(MODULES[other]) != "data", f"{name}:{line} imports {other}"


def test_no_stand_ins_in_the_product():
    files = [path for folder in ("ceco3d", "scripts", "examples") for path in (ROOT / folder).rglob("*.py")]
    users = [path for path in files for name, *_ in imports_of(path) if name.startswith("unittest")]
    assert not users


def test_no_test_imports_another_test():
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for name, line, _ in imports_of(path):
            parts = name.split(".")
            own = parts[0] == "tests" and parts[1] != "helpers"
            assert not own, f"{path.relative_to(ROOT)}:{line} imports {name}"
