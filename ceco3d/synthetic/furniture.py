"""Catalogue: furniture."""

from ceco3d.synthetic.built import built
from ceco3d.synthetic.objects import bars, piano, pole, soft
from ceco3d.synthetic.panels import panel, slats, stall
from ceco3d.synthetic.programs import bed, chair, fronted, shelving, sofa, table
from ceco3d.synthetic.thing import BACK, FLOOR, Thing, at, on, wall

TABLES = "table, dining table, desk, coffee table"

FOLDED_CHAIR = built(
    "box 1 .4 .46 @ 0 0 .05; box 1 .4 .36 @ 0 .1 .62; box .06 1 1 @ -.5 0 0 metal; box .06 1 1 @ .5 0 0 metal"
)
CUSHION = soft(0.35)
BAR = built("box 1 .6 .94 @ 0 .1 0; box 1.05 1 .05 @ 0 0 .95 accent")
IRONING_BOARD = built(
    "box .8 1 .05 @ -.1 0 .95; ball .4 1 .06 @ .3 0 .945; box .03 .6 .95 @ -.2 0 0 metal; box .03 .6 .95 @ .2 0 0 metal"
)
MUSIC_STAND = built("can .05 .05 .8; box 1 .08 .28 @ 0 0 .72; box 1 .3 .02 @ 0 -.1 .72; can .7 .9 .03")
FIREPLACE = built(
    "box .25 1 .85 @ -.375 0 0; box .25 1 .85 @ .375 0 0; box 1.1 1.15 .15 @ 0 0 .85 accent; "
    "box .6 .3 .85 @ 0 .35 0 dark; box .5 .08 .2 @ 0 -.45 .65"
)
LADDER = built(
    "box .08 .3 1 @ -.46 0 0; box .08 .3 1 @ .46 0 0; box .9 .4 .02 @ 0 0 .143; box .9 .4 .02 @ 0 0 .286; "
    "box .9 .4 .02 @ 0 0 .429; box .9 .4 .02 @ 0 0 .571; box .9 .4 .02 @ 0 0 .714; box .9 .4 .02 @ 0 0 .857"
)
RAIL = bars(((-0.5, 0, 0), (-0.5, 0, 1), (0.5, 0, 1), (0.5, 0, 0)), ((-0.5, 0, 0.5), (0.5, 0, 0.5)), r=0.025)
STAIR_RAIL = bars(((-0.5, 0, 0), (-0.5, 0, 0.6), (0.5, 0, 1), (0.5, 0, 0.4)), ((0, 0, 0.2), (0, 0, 0.8)), r=0.025)
PERSON = built(
    "can .4 .6 .48 @ -.25 0 0 accent; can .4 .6 .48 @ .25 0 0 accent; ball 1 1 .42 @ 0 0 .44; "
    "ball .42 .75 .15 @ 0 0 .85 skin; ball .25 .4 .4 @ -.5 0 .42; ball .25 .4 .4 @ .5 0 .42"
)
BICYCLE = built(
    "wheel .38 0 .65 @ -.31 0 0 dark; wheel .38 0 .65 @ .31 0 0 dark; box .4 .12 .05 @ 0 0 .7; "
    "box .05 .12 .5 @ -.1 0 .35; box .05 .12 .6 @ .25 0 .35; box .14 .4 .06 @ -.12 0 .85 dark; "
    "box .05 1 .04 @ .22 0 .95 dark; box .35 .12 .04 @ 0 0 .32"
)

FURNITURE = {
    # Seats: one family, told apart by legs, arms, thickness, size and room.
    "chair": Thing(chair(), (0.45, 0.46, 0.88), "wood", "wood", at(TABLES), "conference kitchen office lab living"),
    "office chair": Thing(
        chair("star", True, soft=0.06), (0.56, 0.56, 1.0), "dark", "dark", at("desk, table"), "office conference lab"
    ),
    "folded chair": Thing(FOLDED_CHAIR, (0.46, 0.1, 0.95), "grey", "metal", BACK, "conference storage lab"),
    "armchair": Thing(
        sofa(1, arms=0.1, back=0.5, legs=0.15), (0.74, 0.75, 0.92), "fabric", "fabric", FLOOR, "living bedroom lobby"
    ),
    "sofa chair": Thing(sofa(1, arms=0.2, back=0.42), (0.95, 0.9, 0.84), "fabric", "fabric", FLOOR, "living lobby"),
    "couch": Thing(sofa(3), (1.9, 0.88, 0.82), "fabric", "fabric", BACK, "living lobby"),
    "seat": Thing(chair("block", back="none", soft=0.08), (0.55, 0.5, 0.42), "blue", "dark", BACK, "lobby hallway gym"),
    "stool": Thing(chair(back="none"), (0.36, 0.36, 0.62), "wood", "metal", FLOOR, "kitchen lab bathroom"),
    "bench": Thing(chair(back="none", soft=0.045), (1.15, 0.36, 0.45), "wood", "wood", BACK, "gym hallway lobby"),
    "ottoman": Thing(sofa(1, arms=0.0, back=0.0), (0.6, 0.55, 0.42), "fabric", "fabric", FLOOR, "living bedroom lobby"),
    "cushion": Thing(
        CUSHION, (0.5, 0.48, 0.13), "fabric", "fabric", on("couch, sofa chair, bed, bench, armchair"), "living bedroom"
    ),
    "pillow": Thing(
        soft(0.5), (0.55, 0.38, 0.17), "towel", "towel", on("bed, couch, mattress, sofa chair"), "bedroom living"
    ),
    # Tables
    "table": Thing(table(), (1.25, 0.75, 0.74), "wood", "metal", FLOOR, "conference office lab living kitchen"),
    "desk": Thing(table("panel", drawers=3), (1.25, 0.66, 0.75), "lightwood", "grey", BACK, "office lab bedroom"),
    "coffee table": Thing(table(shelf=True), (0.95, 0.52, 0.42), "wood", "wood", FLOOR, "living lobby"),
    "end table": Thing(
        table("pedestal", round_=True), (0.48, 0.48, 0.55), "wood", "wood", BACK, "living lobby bedroom"
    ),
    "dining table": Thing(table("pedestal"), (1.4, 0.85, 0.76), "wood", "wood", FLOOR, "kitchen living"),
    "nightstand": Thing(fronted(2, 1, legs=0.08), (0.46, 0.4, 0.58), "wood", "metal", BACK, "bedroom"),
    "stand": Thing(table(shelf=True), (0.45, 0.4, 0.8), "dark", "metal", BACK, "office living gym"),
    "tv stand": Thing(shelving(3, back=True), (1.2, 0.42, 0.52), "dark", "dark", BACK, "living bedroom"),
    "bar": Thing(BAR, (1.3, 0.5, 1.08), "wood", "dark", FLOOR, "kitchen living lobby"),
    "ironing board": Thing(IRONING_BOARD, (1.2, 0.34, 0.88), "blue", "metal", FLOOR, "laundry bedroom closet"),
    # Cases: same box, told apart by doors, handles, worktop and size.
    "cabinet": Thing(
        fronted(1, 2, "post", legs=0.06), (0.9, 0.42, 0.9), "wood", "metal", BACK, "office living lab hallway"
    ),
    "file cabinet": Thing(fronted(4, 1), (0.42, 0.55, 1.2), "grey", "metal", BACK, "office storage copyroom"),
    "kitchen cabinet": Thing(fronted(1, 2, "post"), (0.8, 0.34, 0.68), "white", "metal", wall(1.4), "kitchen"),
    "bathroom cabinet": Thing(fronted(1, 2, "post"), (0.5, 0.2, 0.6), "white", "metal", wall(1.2, 1.4), "bathroom"),
    "bathroom vanity": Thing(fronted(1, 2, "post", slab=0.03), (0.8, 0.48, 0.8), "wood", "white", BACK, "bathroom"),
    "dresser": Thing(fronted(3, 2), (1.1, 0.45, 0.85), "wood", "metal", BACK, "bedroom closet"),
    "wardrobe": Thing(fronted(1, 2, "post"), (1.0, 0.55, 1.9), "wood", "metal", BACK, "bedroom"),
    "closet": Thing(fronted(1, 3, "none"), (1.3, 0.5, 2.0), "white", "white", BACK, "bedroom hallway closet"),
    "furniture": Thing(fronted(2, 3, "none", legs=0.15), (1.0, 0.4, 1.1), "brown", "dark", BACK, "living lobby"),
    "structure": Thing(
        built("box 1 .3 1 @ 0 .3 0; box .5 1 .5 @ .2 0 0"), (1.0, 0.6, 1.4), "beige", "grey", BACK, "lobby lab"
    ),
    "storage organizer": Thing(
        fronted(4, 3, "none"), (0.5, 0.3, 0.7), "bright", "white", BACK, "storage closet bedroom"
    ),
    "mailbox": Thing(fronted(5, 3, "post"), (0.9, 0.3, 1.1), "metal", "dark", BACK, "lobby copyroom"),
    "bookshelf": Thing(shelving(5, fill=0.95), (0.85, 0.3, 1.75), "wood", "wood", BACK, "office living bedroom lab"),
    "shelf": Thing(
        shelving(4, back=False), (0.9, 0.35, 1.5), "lightwood", "metal", BACK, "storage office kitchen laundry closet"
    ),
    "rack": Thing(shelving(4, back=False, posts=True), (0.8, 0.4, 1.4), "metal", "dark", BACK, "storage kitchen gym"),
    "coat rack": Thing(pole(hooks=6), (0.45, 0.45, 1.7), "wood", "wood", FLOOR, "hallway lobby office"),
    "cart": Thing(
        shelving(3, back=False, posts=True), (0.7, 0.42, 0.85), "grey", "metal", FLOOR, "copyroom storage lab kitchen"
    ),
    "music stand": Thing(MUSIC_STAND, (0.5, 0.4, 1.2), "dark", "dark", FLOOR, "living lab"),
    # Beds and large things
    "bed": Thing(bed(), (1.35, 1.9, 0.52), "towel", "wood", BACK, "bedroom"),
    "mattress": Thing(bed(headboard=0, covers=False), (0.95, 1.85, 0.24), "white", "white", FLOOR, "bedroom storage"),
    "piano": Thing(piano(), (1.4, 0.62, 1.2), "dark", "dark", BACK, "living lobby"),
    "keyboard piano": Thing(piano(upright=False), (1.2, 0.34, 0.78), "dark", "dark", FLOOR, "living bedroom lab"),
    "bathroom stall": Thing(stall(2, front=True), (0.95, 1.2, 1.9), "beige", "metal", BACK, "restroom"),
    "divider": Thing(panel((1, 3), spread=9), (1.3, 0.06, 1.5), "grey", "fabric", FLOOR, "office lab lobby"),
    "fireplace": Thing(FIREPLACE, (1.2, 0.35, 1.1), "red", "white", BACK, "living"),
    "radiator": Thing(slats(14, vertical=True, thick=0.03), (0.95, 0.13, 0.6), "white", "white", BACK, "any"),
    "ladder": Thing(LADDER, (0.46, 0.14, 1.9), "metal", "metal", BACK, "storage gym lab"),
    "rail": Thing(RAIL, (1.1, 0.08, 0.95), "metal", "metal", FLOOR, "hallway gym lobby"),
    "stair rail": Thing(STAIR_RAIL, (1.2, 0.08, 1.5), "wood", "wood", BACK, "hallway lobby"),
    "person": Thing(PERSON, (0.46, 0.28, 1.7), "cloth", "cloth", FLOOR, "any"),
    "bicycle": Thing(BICYCLE, (1.6, 0.45, 0.98), "bright", "dark", BACK, "hallway storage gym"),
}
