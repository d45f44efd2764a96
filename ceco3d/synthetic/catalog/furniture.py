"""Catalog: furniture."""

from ceco3d.synthetic.catalog.object_class import AGAINST_WALL, ON_FLOOR, ObjectClass, facing, on_top_of, on_wall
from ceco3d.synthetic.shapes.assembly import assemble
from ceco3d.synthetic.shapes.bodies import bent_tubes, piano, pole, soft_body
from ceco3d.synthetic.shapes.furniture import bed, cabinet, chair, shelving, sofa, table
from ceco3d.synthetic.shapes.panels import panel, slats, stall

TABLES = "table, dining table, desk, coffee table"

FOLDED_CHAIR = assemble(
    "box 1 .4 .46 @ 0 0 .05; box 1 .4 .36 @ 0 .1 .62; box .06 1 1 @ -.5 0 0 metal; box .06 1 1 @ .5 0 0 metal"
)
CUSHION = soft_body(0.35)
BAR = assemble("box 1 .6 .94 @ 0 .1 0; box 1.05 1 .05 @ 0 0 .95 accent")
IRONING_BOARD = assemble(
    "box .8 1 .05 @ -.1 0 .95; ball .4 1 .06 @ .3 0 .945; box .03 .6 .95 @ -.2 0 0 metal; box .03 .6 .95 @ .2 0 0 metal"
)
MUSIC_STAND = assemble("can .05 .05 .8; box 1 .08 .28 @ 0 0 .72; box 1 .3 .02 @ 0 -.1 .72; can .7 .9 .03")
FIREPLACE = assemble(
    "box .25 1 .85 @ -.375 0 0; box .25 1 .85 @ .375 0 0; box 1.1 1.15 .15 @ 0 0 .85 accent; "
    "box .6 .3 .85 @ 0 .35 0 dark; box .5 .08 .2 @ 0 -.45 .65"
)
LADDER = assemble(
    "box .08 .3 1 @ -.46 0 0; box .08 .3 1 @ .46 0 0; box .9 .4 .02 @ 0 0 .143; box .9 .4 .02 @ 0 0 .286; "
    "box .9 .4 .02 @ 0 0 .429; box .9 .4 .02 @ 0 0 .571; box .9 .4 .02 @ 0 0 .714; box .9 .4 .02 @ 0 0 .857"
)
RAIL = bent_tubes(((-0.5, 0, 0), (-0.5, 0, 1), (0.5, 0, 1), (0.5, 0, 0)), ((-0.5, 0, 0.5), (0.5, 0, 0.5)), r=0.025)
STAIR_RAIL = bent_tubes(((-0.5, 0, 0), (-0.5, 0, 0.6), (0.5, 0, 1), (0.5, 0, 0.4)), ((0, 0, 0.2), (0, 0, 0.8)), r=0.025)
PERSON = assemble(
    "can .4 .6 .48 @ -.25 0 0 accent; can .4 .6 .48 @ .25 0 0 accent; ball 1 1 .42 @ 0 0 .44; "
    "ball .42 .75 .15 @ 0 0 .85 skin; ball .25 .4 .4 @ -.5 0 .42; ball .25 .4 .4 @ .5 0 .42"
)
BICYCLE = assemble(
    "wheel .38 0 .65 @ -.31 0 0 dark; wheel .38 0 .65 @ .31 0 0 dark; box .4 .12 .05 @ 0 0 .7; "
    "box .05 .12 .5 @ -.1 0 .35; box .05 .12 .6 @ .25 0 .35; box .14 .4 .06 @ -.12 0 .85 dark; "
    "box .05 1 .04 @ .22 0 .95 dark; box .35 .12 .04 @ 0 0 .32"
)

FURNITURE = {
    # Seats differ in legs, arms, thickness, size and room type.
    "chair": ObjectClass(
        chair(), (0.45, 0.46, 0.88), "wood", "wood", facing(TABLES), "conference kitchen office lab living"
    ),
    "office chair": ObjectClass(
        chair("star", True, soft=0.06),
        (0.56, 0.56, 1.0),
        "dark",
        "dark",
        facing("desk, table"),
        "office conference lab",
    ),
    "folded chair": ObjectClass(
        FOLDED_CHAIR, (0.46, 0.1, 0.95), "gray", "metal", AGAINST_WALL, "conference storage lab"
    ),
    "armchair": ObjectClass(
        sofa(1, arms=0.1, back=0.5, legs=0.15), (0.74, 0.75, 0.92), "fabric", "fabric", ON_FLOOR, "living bedroom lobby"
    ),
    "sofa chair": ObjectClass(
        sofa(1, arms=0.2, back=0.42), (0.95, 0.9, 0.84), "fabric", "fabric", ON_FLOOR, "living lobby"
    ),
    "couch": ObjectClass(sofa(3), (1.9, 0.88, 0.82), "fabric", "fabric", AGAINST_WALL, "living lobby"),
    "seat": ObjectClass(
        chair("block", back="none", soft=0.08), (0.55, 0.5, 0.42), "blue", "dark", AGAINST_WALL, "lobby hallway gym"
    ),
    "stool": ObjectClass(chair(back="none"), (0.36, 0.36, 0.62), "wood", "metal", ON_FLOOR, "kitchen lab bathroom"),
    "bench": ObjectClass(
        chair(back="none", soft=0.045), (1.15, 0.36, 0.45), "wood", "wood", AGAINST_WALL, "gym hallway lobby"
    ),
    "ottoman": ObjectClass(
        sofa(1, arms=0.0, back=0.0), (0.6, 0.55, 0.42), "fabric", "fabric", ON_FLOOR, "living bedroom lobby"
    ),
    "cushion": ObjectClass(
        CUSHION,
        (0.5, 0.48, 0.13),
        "fabric",
        "fabric",
        on_top_of("couch, sofa chair, bed, bench, armchair"),
        "living bedroom",
    ),
    "pillow": ObjectClass(
        soft_body(0.5),
        (0.55, 0.38, 0.17),
        "towel",
        "towel",
        on_top_of("bed, couch, mattress, sofa chair"),
        "bedroom living",
    ),
    # Tables
    "table": ObjectClass(
        table(), (1.25, 0.75, 0.74), "wood", "metal", ON_FLOOR, "conference office lab living kitchen"
    ),
    "desk": ObjectClass(
        table("panel", drawers=3), (1.25, 0.66, 0.75), "lightwood", "gray", AGAINST_WALL, "office lab bedroom"
    ),
    "coffee table": ObjectClass(table(shelf=True), (0.95, 0.52, 0.42), "wood", "wood", ON_FLOOR, "living lobby"),
    "end table": ObjectClass(
        table("pedestal", round_=True), (0.48, 0.48, 0.55), "wood", "wood", AGAINST_WALL, "living lobby bedroom"
    ),
    "dining table": ObjectClass(table("pedestal"), (1.4, 0.85, 0.76), "wood", "wood", ON_FLOOR, "kitchen living"),
    "nightstand": ObjectClass(cabinet(2, 1, legs=0.08), (0.46, 0.4, 0.58), "wood", "metal", AGAINST_WALL, "bedroom"),
    "stand": ObjectClass(table(shelf=True), (0.45, 0.4, 0.8), "dark", "metal", AGAINST_WALL, "office living gym"),
    "tv stand": ObjectClass(shelving(3, back=True), (1.2, 0.42, 0.52), "dark", "dark", AGAINST_WALL, "living bedroom"),
    "bar": ObjectClass(BAR, (1.3, 0.5, 1.08), "wood", "dark", ON_FLOOR, "kitchen living lobby"),
    "ironing board": ObjectClass(IRONING_BOARD, (1.2, 0.34, 0.88), "blue", "metal", ON_FLOOR, "laundry bedroom closet"),
    # Cases are boxes that differ in doors, handles, worktop and size.
    "cabinet": ObjectClass(
        cabinet(1, 2, "post", legs=0.06), (0.9, 0.42, 0.9), "wood", "metal", AGAINST_WALL, "office living lab hallway"
    ),
    "file cabinet": ObjectClass(
        cabinet(4, 1), (0.42, 0.55, 1.2), "gray", "metal", AGAINST_WALL, "office storage copyroom"
    ),
    "kitchen cabinet": ObjectClass(cabinet(1, 2, "post"), (0.8, 0.34, 0.68), "white", "metal", on_wall(1.4), "kitchen"),
    "bathroom cabinet": ObjectClass(
        cabinet(1, 2, "post"), (0.5, 0.2, 0.6), "white", "metal", on_wall(1.2, 1.4), "bathroom"
    ),
    "bathroom vanity": ObjectClass(
        cabinet(1, 2, "post", slab=0.03), (0.8, 0.48, 0.8), "wood", "white", AGAINST_WALL, "bathroom"
    ),
    "dresser": ObjectClass(cabinet(3, 2), (1.1, 0.45, 0.85), "wood", "metal", AGAINST_WALL, "bedroom closet"),
    "wardrobe": ObjectClass(cabinet(1, 2, "post"), (1.0, 0.55, 1.9), "wood", "metal", AGAINST_WALL, "bedroom"),
    "closet": ObjectClass(
        cabinet(1, 3, "none"), (1.3, 0.5, 2.0), "white", "white", AGAINST_WALL, "bedroom hallway closet"
    ),
    "furniture": ObjectClass(
        cabinet(2, 3, "none", legs=0.15), (1.0, 0.4, 1.1), "brown", "dark", AGAINST_WALL, "living lobby"
    ),
    "structure": ObjectClass(
        assemble("box 1 .3 1 @ 0 .3 0; box .5 1 .5 @ .2 0 0"),
        (1.0, 0.6, 1.4),
        "beige",
        "gray",
        AGAINST_WALL,
        "lobby lab",
    ),
    "storage organizer": ObjectClass(
        cabinet(4, 3, "none"), (0.5, 0.3, 0.7), "bright", "white", AGAINST_WALL, "storage closet bedroom"
    ),
    "mailbox": ObjectClass(cabinet(5, 3, "post"), (0.9, 0.3, 1.1), "metal", "dark", AGAINST_WALL, "lobby copyroom"),
    "bookshelf": ObjectClass(
        shelving(5, fill=0.95), (0.85, 0.3, 1.75), "wood", "wood", AGAINST_WALL, "office living bedroom lab"
    ),
    "shelf": ObjectClass(
        shelving(4, back=False),
        (0.9, 0.35, 1.5),
        "lightwood",
        "metal",
        AGAINST_WALL,
        "storage office kitchen laundry closet",
    ),
    "rack": ObjectClass(
        shelving(4, back=False, posts=True), (0.8, 0.4, 1.4), "metal", "dark", AGAINST_WALL, "storage kitchen gym"
    ),
    "coat rack": ObjectClass(pole(hooks=6), (0.45, 0.45, 1.7), "wood", "wood", ON_FLOOR, "hallway lobby office"),
    "cart": ObjectClass(
        shelving(3, back=False, posts=True),
        (0.7, 0.42, 0.85),
        "gray",
        "metal",
        ON_FLOOR,
        "copyroom storage lab kitchen",
    ),
    "music stand": ObjectClass(MUSIC_STAND, (0.5, 0.4, 1.2), "dark", "dark", ON_FLOOR, "living lab"),
    # Beds and other large objects
    "bed": ObjectClass(bed(), (1.35, 1.9, 0.52), "towel", "wood", AGAINST_WALL, "bedroom"),
    "mattress": ObjectClass(
        bed(headboard=0, covers=False), (0.95, 1.85, 0.24), "white", "white", ON_FLOOR, "bedroom storage"
    ),
    "piano": ObjectClass(piano(), (1.4, 0.62, 1.2), "dark", "dark", AGAINST_WALL, "living lobby"),
    "keyboard piano": ObjectClass(
        piano(upright=False), (1.2, 0.34, 0.78), "dark", "dark", ON_FLOOR, "living bedroom lab"
    ),
    "bathroom stall": ObjectClass(stall(2, front=True), (0.95, 1.2, 1.9), "beige", "metal", AGAINST_WALL, "restroom"),
    "divider": ObjectClass(panel((1, 3), spread=9), (1.3, 0.06, 1.5), "gray", "fabric", ON_FLOOR, "office lab lobby"),
    "fireplace": ObjectClass(FIREPLACE, (1.2, 0.35, 1.1), "red", "white", AGAINST_WALL, "living"),
    "radiator": ObjectClass(
        slats(14, vertical=True, thick=0.03), (0.95, 0.13, 0.6), "white", "white", AGAINST_WALL, "any"
    ),
    "ladder": ObjectClass(LADDER, (0.46, 0.14, 1.9), "metal", "metal", AGAINST_WALL, "storage gym lab"),
    "rail": ObjectClass(RAIL, (1.1, 0.08, 0.95), "metal", "metal", ON_FLOOR, "hallway gym lobby"),
    "stair rail": ObjectClass(STAIR_RAIL, (1.2, 0.08, 1.5), "wood", "wood", AGAINST_WALL, "hallway lobby"),
    "person": ObjectClass(PERSON, (0.46, 0.28, 1.7), "cloth", "cloth", ON_FLOOR, "any"),
    "bicycle": ObjectClass(BICYCLE, (1.6, 0.45, 0.98), "bright", "dark", AGAINST_WALL, "hallway storage gym"),
}
