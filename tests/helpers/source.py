"""The source code of the repository, read without importing it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ceco3d"
TOP = "commands"  # what `folder_of` calls ceco3d/ itself


def modules() -> dict[str, Path]:
    """The files of ceco3d by dotted name; a package has the name of its folder."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def folder_of(path: Path) -> str:
    """The folder of a file within ceco3d, such as "data/scenes"; TOP for ceco3d/ itself."""
    folder = path.parent.relative_to(PACKAGE).as_posix()
    return TOP if folder == "." else folder


def imports_of(path: Path) -> Iterator[tuple[str, int, bool]]:
    """(dotted name, line, whether it is at module level) for all imports, also those in functions and conditions.

    ``from a import b`` gives "a.b". Imports under TYPE_CHECKING are not at module level: they do not run.
    """
    yield from _imports(ast.parse(path.read_text()).body, path, True)


def _imports(body: list[ast.AST], path: Path, top: bool) -> Iterator[tuple[str, int, bool]]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            yield from ((f"{node.module}.{alias.name}", node.lineno, top) for alias in node.names)
        else:
            inner = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _type_checking(node)
            yield from _imports(list(ast.iter_child_nodes(node)), path, top and not inner)


def _type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imported_modules(path: Path, known: dict[str, Path]) -> Iterator[tuple[str, int, bool]]:
    """Like ``imports_of``, for modules of ceco3d only: "a.b" becomes "a" where b is no module."""
    for name, line, top in imports_of(path):
        if name.split(".")[0] == "ceco3d":
            yield (name if name in known else name.rpartition(".")[0]), line, top


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def section(text: str, heading: str) -> str | None:
    """The text of a Markdown document below the first heading that contains ``heading``; None without one."""
    parts = re.split(r"^(#+ .*)$", _hide_comments(text), flags=re.MULTILINE)
    for title, content in zip(parts[1::2], parts[2::2], strict=True):
        if heading.lower() in title.lower():
            return content.replace("\0", "#")
    return None


def fenced(text: str, language: str | None = None) -> list[str]:
    """The fenced code blocks of a Markdown text, those of ``language`` if given."""
    blocks = re.findall(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)
    return [content for name, content in blocks if language is None or name == language]


def _hide_comments(text: str) -> str:
    """Code blocks with \\0 for #, so that their comments are no headings."""
    return re.sub(r"^ *```.*?^ *```", lambda found: found[0].replace("#", "\0"), text, flags=re.MULTILINE | re.DOTALL)
