"""``python -m tests.helpers.write_recipes``: write the effective configurations of the recipes; their sources stay."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.recipes import RECIPES, as_text, effective

GOLDEN = Path(__file__).parents[1] / "cli/recipes"


def main() -> None:
    """Write each file; the comment lines at its top stay."""
    for recipe in RECIPES:
        path = GOLDEN / f"{recipe}.yaml"
        lines = path.read_text().splitlines() if path.exists() else ["# Source: ?"]
        sources = [line for line in lines if line.startswith("#")]
        path.write_text("\n".join(sources) + "\n" + as_text(effective(recipe)))


if __name__ == "__main__":
    main()
