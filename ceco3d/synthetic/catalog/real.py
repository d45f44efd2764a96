"""The catalog of the ``real`` style: the same classes in the many forms and colors that scans of real rooms show."""

from __future__ import annotations

from dataclasses import replace

from ceco3d.synthetic.catalog.classes import CATALOG
from ceco3d.synthetic.catalog.object_class import ON_FLOOR, ObjectClass
from ceco3d.synthetic.shapes.builder import ShapeBuilder, one_of
from ceco3d.synthetic.shapes.furniture import bed, cabinet, chair, shelving, sofa, table
from ceco3d.synthetic.shapes.panels import door_leaf, hanging_cloth, panel, screen, slats, wall_opening
from ceco3d.synthetic.shapes.seats import cantilever_chair, shell_chair, swivel_chair
from ceco3d.synthetic.shapes.tables import star_table

WOODS = "wood lightwood brown"
ANY_SEAT = "dark dark fabric cloth wood lightwood blue red green gray white beige"
ANY_FRONT = "wood lightwood white gray beige brown dark metal"

# ScanNet has 4,681 objects called "chair" and 595 called "office chair"; its sample scene calls swivel chairs "chair".
CHAIRS = one_of(
    chair(),
    chair("four", arms=True),
    chair(back="slats"),
    chair("sled", soft=0.06),
    chair("sled", arms=True),
    chair("four", soft=0.08),
    shell_chair("four"),
    shell_chair("sled"),
    cantilever_chair(),
    swivel_chair(arms=False),
    swivel_chair(),
    swivel_chair(),
    swivel_chair(tall=True),
)
TABLES = one_of(
    table(), table(), table("panel"), table("pedestal"), table("pedestal", round_=True), star_table(), star_table(True)
)
DESKS = one_of(table("panel", drawers=3), table("panel"), table("four", drawers=3), table(), star_table())
COUCHES = one_of(sofa(3), sofa(2), sofa(3, arms=0.08, legs=0.12), sofa(2, arms=0.22, back=0.35), sofa(3, arms=0.0))
DOORS = one_of(
    wall_opening(leaf=0.04, knob=True), door_leaf(), door_leaf(), door_leaf(glass=True), door_leaf(panels=True)
)
WINDOWS = one_of(*(wall_opening(muntins=m) for m in ((1, 1), (2, 1), (2, 2), (3, 1), (3, 3))))

FORMS: dict[str, ShapeBuilder] = {
    "chair": CHAIRS,
    "office chair": one_of(
        swivel_chair(), swivel_chair(tall=True), swivel_chair(arms=False), chair("star", True, soft=0.06)
    ),
    "table": TABLES,
    "desk": DESKS,
    "dining table": one_of(table("pedestal"), table(), star_table()),
    "coffee table": one_of(table(shelf=True), table(), table("panel"), table("pedestal", round_=True)),
    "end table": one_of(table("pedestal", round_=True), table(shelf=True), table(), cabinet(1, 1)),
    "couch": COUCHES,
    "armchair": one_of(
        sofa(1, arms=0.1, back=0.5, legs=0.15), sofa(1, arms=0.15, back=0.4), chair("block", True, soft=0.12)
    ),
    "sofa chair": one_of(sofa(1, arms=0.2, back=0.42), sofa(1, arms=0.14, back=0.5, legs=0.1)),
    "stool": one_of(
        chair(back="none"), chair("star", back="none"), chair("sled", back="none"), chair("block", back="none")
    ),
    "door": DOORS,
    "window": WINDOWS,
    "curtain": one_of(hanging_cloth(6), hanging_cloth(10, 0.06), hanging_cloth(4, 0.03)),
    "cabinet": one_of(
        cabinet(1, 2, "post"),
        cabinet(2, 2, "none"),
        cabinet(3, 1, "bar"),
        cabinet(1, 1, "post"),
        cabinet(2, 3, "bar"),
    ),
    "kitchen cabinet": one_of(cabinet(1, 2, "post"), cabinet(1, 3, "none"), cabinet(2, 2, "bar")),
    "bookshelf": one_of(shelving(5, fill=0.95), shelving(4, fill=0.7), shelving(6, fill=0.8), shelving(3, fill=0.9)),
    "shelf": one_of(shelving(4, back=False), shelving(3), shelving(5, back=False, posts=True)),
    "bed": one_of(bed(), bed(headboard=0.6), bed(headboard=0.0)),
    "monitor": one_of(screen(), screen(stand=False)),
    "blinds": one_of(slats(18), slats(9, vertical=True), slats(1)),
    "whiteboard": one_of(panel((4, 6), 0.03, 4), panel((1, 1), 0.015, 2), panel((2, 3), 0.04, 10)),
}

# Sizes whose middle differs from the plain catalog, and how far they reach.
SIZES: dict[str, tuple[tuple[float, float, float], float]] = {
    "chair": ((0.52, 0.53, 0.9), 0.17),
    "table": ((1.35, 0.85, 0.73), 0.35),
    "desk": ((1.35, 0.7, 0.74), 0.25),
    "couch": ((1.8, 0.9, 0.82), 0.22),
    "door": ((0.92, 0.09, 2.05), 0.1),
    "window": ((1.2, 0.1, 1.2), 0.35),
    "whiteboard": ((1.8, 0.04, 1.1), 0.35),
    "cabinet": ((0.95, 0.45, 1.0), 0.35),
    "curtain": ((1.0, 0.12, 1.9), 0.3),
    "bookshelf": ((0.95, 0.32, 1.7), 0.3),
}

# What has the color of its material keeps its palette; what is painted or upholstered takes any of these.
COLORS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("chair", "office chair", "stool", "seat"), (ANY_SEAT, "metal dark wood lightwood white")),
    **dict.fromkeys(("couch", "armchair", "sofa chair", "ottoman"), ("fabric cloth dark beige brown gray",) * 2),
    **dict.fromkeys(
        ("table", "dining table", "coffee table", "end table"),
        ("wood lightwood brown white gray dark", "metal dark wood white"),
    ),
    **dict.fromkeys(("desk",), ("wood lightwood white gray dark", "gray metal wood dark")),
    **dict.fromkeys(
        ("door", "closet door"), ("wood lightwood brown white gray beige blue", "wood white gray brown dark")
    ),
    "window": ("glass white paper blue dark", "white gray dark wood metal"),
    "curtain": ("towel fabric white beige cloth", "fabric towel"),
    **dict.fromkeys(
        ("cabinet", "file cabinet", "kitchen cabinet", "dresser", "wardrobe", "closet", "nightstand"),
        (ANY_FRONT, "metal dark white wood"),
    ),
    **dict.fromkeys(("bookshelf", "shelf", "rack", "tv stand"), (ANY_FRONT, "metal dark white wood")),
    **dict.fromkeys(("counter", "kitchen counter", "bathroom vanity"), (ANY_FRONT, "white gray dark beige wood")),
    "bed": ("towel cloth white blue beige gray", WOODS + " white dark"),
    **dict.fromkeys(("pillow", "cushion", "blanket"), ("towel cloth fabric white", "towel fabric")),
    **dict.fromkeys(
        ("trash can", "trash bin", "bin", "recycling bin"), ("dark gray white metal blue recycle", "dark gray white")
    ),
    **dict.fromkeys(
        ("refrigerator", "dishwasher", "oven", "microwave", "washing machine"), ("white metal dark gray", "metal dark")
    ),
    "whiteboard": ("metal white gray", "white paper"),
    "backpack": ("cloth bright dark", "cloth bright"),
}

SPREAD = 0.22  # relative variation of the size of all other objects


def _real(name: str, plain: ObjectClass) -> ObjectClass:
    """The entry of a class with its many forms."""
    size, vary = SIZES.get(name, (plain.size, max(plain.vary, SPREAD)))
    main, accent = COLORS.get(name, (plain.main, plain.accent))
    placement = ON_FLOOR if name == "ottoman" else plain.placement
    return replace(
        plain,
        builder=FORMS.get(name, plain.builder),
        size=size,
        vary=vary,
        main=main,
        accent=accent,
        placement=placement,
    )


REAL_CATALOG: dict[str, ObjectClass] = {name: _real(name, plain) for name, plain in CATALOG.items()}
