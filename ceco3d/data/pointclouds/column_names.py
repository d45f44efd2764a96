"""Which named columns of a scan hold coordinates, colors and normals."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence

Triples = tuple[tuple[str, ...], ...]

HEIGHTS = ("height", "elevation", "altitude", "z", "h", "elev", "alt", "up")
HORIZONTALS = (("easting", "northing"), ("east", "north"), ("e", "n"), ("x", "y"))
GERMAN = tuple(
    (*pair, up) for pair in (("rechtswert", "hochwert"), ("ostwert", "nordwert")) for up in ("höhe", "hoehe")
)
# In any case, see also ``plain_name``. The first complete triple counts.
COORD_NAMES: Triples = (
    ("x", "y", "z"),
    *((f"{word} 0", f"{word} 1", f"{word} 2") for word in ("point", "coord", "position", "pos", "xyz")),
    *((*pair, up) for pair in HORIZONTALS for up in HEIGHTS if (*pair, up) != ("x", "y", "z")),
    *GERMAN,
)
COLOR_NAMES: Triples = (
    ("red", "green", "blue"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
    ("r", "g", "b"),
    ("rf", "gf", "bf"),  # CloudCompare
    *((f"{word} 0", f"{word} 1", f"{word} 2") for word in ("rgb", "rgba", "color", "diffuse color")),  # VTK
)
NORMAL_NAMES: Triples = (
    ("nx", "ny", "nz"),
    ("normal_x", "normal_y", "normal_z"),
    ("n x", "n y", "n z"),
    ("normal 0", "normal 1", "normal 2"),
)
PACKED = ("rgb", "rgba", "color")  # one column for three channels
DEGREES = {"lat", "latitude", "lon", "long", "lng", "longitude"}

SPELLINGS = {
    **{"colour": "color", "colours": "color", "colors": "color", "points": "point", "normals": "normal"},
    **{"coords": "coord", "coordinate": "coord", "coordinates": "coord", "positions": "position"},
}
FILLERS = {"scalar", "coord", "position", "pos", "point", "vertex", "color", "rgb", "channel", "value", "axis"}
UNITS = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), "m"),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), "cm"),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), "mm"),
    **dict.fromkeys(("ft", "feet", "foot", "usft", "us-ft", "ftus"), "ft"),
    **dict.fromkeys(("in", "inch", "inches"), "in"),
}
BRACKETS = re.compile(r"[\[({<]([^\])}>]{0,80})[\])}>]")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=[0-9]+$)")


def plain_name(name: str) -> str:
    """``name`` in lower case without quotes, unit, and words such as "scalar" and "coordinate".

    "X [m]" -> "x", "scalar_Nx" -> "nx", "Points:0" -> "point 0", "NormalX" -> "normal x", "colour_red" -> "red"
    """
    words = _words(BRACKETS.sub(" ", name)) or _words(name)
    if len(words) > 1 and words[-1] in UNITS:
        words = words[:-1]
    kept = [word for word in words if word not in FILLERS]
    return " ".join(kept if kept and not all(word.isdigit() for word in kept) else words)


def unused_name(name: str, taken: Container[str]) -> str:
    """``name``, or "name_2", "name_3", ... if that is taken."""
    unique, number = name, 1
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    return unique


def find_columns(names: Iterable[str], triples: Triples) -> list[str] | None:
    """The first of ``triples`` that is complete in ``names``, spelled as in ``names``; None if none is.

    Names as they are, in any case, come before plain ones: "R" before "scalar_red".
    """
    given = list(names)
    for simplify in (_lower, plain_name):
        spelling = {simplify(name): name for name in reversed(given)}
        for triple in triples:
            keys = [simplify(name) for name in triple]
            if set(keys) <= spelling.keys():
                return [spelling[key] for key in keys]
    return None


def no_coordinates(names: Iterable[str]) -> str:
    """Why columns ``names`` hold no coordinates, and what to do."""
    given = list(names)
    if DEGREES & {plain_name(name) for name in given}:
        return f"has coordinates in degrees ({', '.join(given)}): project them to meters, in columns x, y and z"
    return f"has no columns x, y and z, only {', '.join(given) or 'none'}: rename them; columns= does it for a table"


def name_layout(names: Iterable[str], coord: Sequence[str], color: Sequence[str] | None) -> str:
    """What columns with unusual names were taken for: "Easting Northing Height -> x y z"; "" if that is plain.

    Also names a second complete set of colors, which is not used.
    """
    parts = []
    if [plain_name(name) for name in coord] != ["x", "y", "z"]:
        parts.append(f"{' '.join(coord)} -> x y z")
    if color is not None:
        rest = [name for name in names if name not in color]
        other = find_columns(rest, COLOR_NAMES)
        if other is not None or [plain_name(name) for name in color] not in (["red", "green", "blue"], ["r", "g", "b"]):
            parts.append(f"{' '.join(color)} -> red green blue" + (f" ({' '.join(other)} ignored)" if other else ""))
    return ", ".join(parts)


def name_notes(
    names: Iterable[str], coord: Sequence[str], color: Sequence[str] | None, normal: Sequence[str] | None
) -> list[str]:
    """Warnings about columns whose names promise something that they are not used for, one line each."""
    given = list(names)
    notes = [note for name in coord for note in _rivals(name, given)]
    unit = next((unit for name in coord if (unit := _unit(name))), "m")
    if unit != "m":
        notes.append(f"the name {coord[0]} says that coordinates are in {unit}: {_remedy(unit)}")
    for found, triples in ((color, COLOR_NAMES), (normal, NORMAL_NAMES)):
        if found is None:
            notes += _incomplete(given, triples)
    if color is None:
        packed = [name for name in given if plain_name(name) in PACKED]
        notes += [f"column {name} is not used: colors need three columns, red green blue" for name in packed]
    return notes


def _remedy(unit: str) -> str:
    return f"set unit={unit}" if unit in ("cm", "mm") else "convert them to meters"


def _rivals(name: str, names: list[str]) -> list[str]:
    """A note if other columns have the name of the coordinate ``name``."""
    exact = [other for other in names if other != name and _lower(other) == _lower(name)]
    plain = [other for other in names if other != name and plain_name(other) == plain_name(name)]
    others = exact if exact or _lower(name) == plain_name(name) else plain
    return [f"columns {', '.join([name, *others])} have the same name: {name} is used"] if others else []


def _incomplete(names: list[str], triples: Triples) -> list[str]:
    """A note for the first triple of which ``names`` has a part: at least two where one letter could mean anything."""
    spelling = {plain_name(name): name for name in reversed(names)}
    for triple in triples:
        keys = [plain_name(key) for key in triple]
        present, missing = [spelling[key] for key in keys if key in spelling], [k for k in keys if k not in spelling]
        if len(present) > (1 if len(keys[0]) == 1 else 0):
            some, are, lacking = " and ".join(present), "are" if present[1:] else "is", " and ".join(missing)
            columns = "columns" if present[1:] else "column"
            return [f"{columns} {some} {are} not used: {lacking} {'are' if missing[1:] else 'is'} missing"]
    return []


def _unit(name: str) -> str:
    """The unit in a name such as "X [mm]" or "x_ft"; "" without one."""
    words = [word.strip().lower() for word in BRACKETS.findall(name)] or _words(name)[1:]
    return next((UNITS[word] for word in words if word in UNITS), "")


def _lower(name: str) -> str:
    return name.strip().lower()


def _words(name: str) -> list[str]:
    parts = (CAMEL.sub(" ", part) for part in re.split(r"[\W_]+", name))
    return [SPELLINGS.get(word, word) for part in parts for word in part.lower().split()]
