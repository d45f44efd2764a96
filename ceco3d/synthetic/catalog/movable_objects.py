"""Catalog: electronics, containers, clothes and other movable objects."""

from ceco3d.synthetic.catalog.object_class import AGAINST_WALL, ON_FLOOR, ObjectClass, on_top_of, on_wall
from ceco3d.synthetic.shapes.assembly import assemble
from ceco3d.synthetic.shapes.bodies import appliance, foliage, heap, plain_box, pole, soft_body, vessel
from ceco3d.synthetic.shapes.panels import flat_panel, screen

DESKS = "desk, table"
TOPS = "desk, table, shelf, cabinet, coffee table, dresser, rack, counter, end table, nightstand, tv stand"
HEAP = "bed, couch, mattress, armchair, sofa chair"

LAPTOP = screen(stand=False, keys=True)
COMPUTER_TOWER = assemble("box 1 .97 1 @ 0 .015 0; box .85 .03 .3 @ 0 -.48 .6 accent")
COPIER = assemble(
    "box 1 1 .8; box .95 .9 .16 @ 0 .02 .84; box .9 .04 .14 @ 0 -.51 .1 accent; "
    "box .9 .04 .14 @ 0 -.51 .3 accent; box .35 .8 .05 @ -.66 0 .5 accent"
)
TELEPHONE = assemble("box 1 1 .5; box .25 .95 .5 @ -.36 0 .5; box .5 .6 .06 @ .18 -.05 .5 accent")
SPEAKER = assemble("box 1 1 1; disc .7 .06 .42 @ 0 -.51 .08 accent; disc .4 .06 .24 @ 0 -.51 .62 accent")
HEADPHONES = assemble(
    "disc .3 .9 .45 @ -.36 0 0; disc .3 .9 .45 @ .36 0 0; box .75 .25 .2 @ 0 0 .75; box .12 .25 .5 @ -.36 0 .35; "
    "box .12 .25 .5 @ .36 0 .35"
)
POWER_STRIP = assemble(
    "box 1 1 .8; box .08 .5 .25 @ -.35 0 .8 accent; box .08 .5 .25 @ -.12 0 .8 accent; "
    "box .08 .5 .25 @ .12 0 .8 accent; box .08 .5 .25 @ .35 0 .8 accent"
)
ALARM_CLOCK = assemble("box 1 1 .9; box .85 .05 .6 @ 0 -.5 .15 accent")
LAMP = pole(shade=True)
MACHINE = assemble("box 1 1 .55; box .6 .5 .45 @ -.1 .2 .55 accent; can .2 .3 .4 @ .38 0 .55 metal")
VACUUM_CLEANER = assemble("box 1 1 .12; ball .7 .7 .55 @ 0 .1 .1 accent; can .15 .12 .5 @ 0 .3 .5 dark")
PAPER_CUTTER = assemble("box 1 1 .4; box .08 1.1 .6 @ .46 0 .3 accent")
TRASH_BIN = vessel((0.8, 0.0), (1.0, 1.0), rim=0.04, square=True)
BIN = assemble("box .94 .94 .84; box 1 1 .16 @ 0 0 .84 accent")
RECYCLING_BIN = vessel((0.82, 0.0), (1.0, 1.0), rim=0.05, square=True)
CONTAINER = vessel((0.9, 0.0), (1.0, 1.0), open_=False)
CRATE = assemble(
    "box 1 1 .06; box 1 .05 .2 @ 0 -.47 .08; box 1 .05 .2 @ 0 -.47 .42; box 1 .05 .2 @ 0 -.47 .76; "
    "box 1 .05 .2 @ 0 .47 .08; box 1 .05 .2 @ 0 .47 .42; box 1 .05 .2 @ 0 .47 .76; box .05 1 .2 @ -.47 0 .08; "
    "box .05 1 .2 @ -.47 0 .42; box .05 1 .2 @ -.47 0 .76; box .05 1 .2 @ .47 0 .08; box .05 1 .2 @ .47 0 .42; "
    "box .05 1 .2 @ .47 0 .76"
)
BASKET = vessel((0.7, 0.0), (1.0, 0.8), (0.95, 1.0), rim=0.07)
BUCKET = vessel((0.75, 0.0), (1.0, 1.0), rim=0.05)
TUBE = assemble("disc .16 1 1; box 1 .8 .8 @ 0 0 .1")
TISSUE_BOX = assemble("box 1 1 .7; ball .4 .4 .5 @ 0 0 .5 white")
CD_CASE = assemble(
    "box 1 1 .16; box 1 1 .16 @ .02 0 .167 accent; box 1 1 .16 @ 0 0 .333; box 1 1 .16 @ .02 0 .5 accent; "
    "box 1 1 .16 @ 0 0 .667; box 1 1 .16 @ .02 0 .833 accent"
)
BOOK = assemble("box 1 1 .3; box .9 .9 .35 @ .03 .02 .3 accent; box .8 .95 .35 @ -.05 0 .65")
PAPER = flat_panel((3, 2), 6)
PAPER_BAG = assemble("box 1 1 1; box .88 .8 .01 @ 0 0 1 accent; box .4 .05 .15 @ 0 -.4 1")
CLOTHES = heap(5)
JACKET = assemble(
    "ball .8 .9 1; ball .28 .7 .75 @ -.4 0 .18; ball .28 .7 .75 @ .4 0 .18; ball .3 .8 .2 @ 0 0 .88 accent"
)
HAT = assemble("can 1 1 .12; ball .65 .65 1")
SHOE = assemble(
    "ball .45 1 .6 @ -.27 0 0; ball .42 .5 1 @ -.27 .22 0; ball .45 1 .6 @ .27 .05 0; ball .42 .5 1 @ .27 .27 0 accent"
)
BACKPACK = assemble("ball 1 .75 1 @ 0 .1 0; ball .75 .45 .5 @ 0 -.28 .05 accent; box .2 .1 .1 @ 0 .2 .95")
BAG = assemble("ball 1 1 .8; box .5 .08 .05 @ 0 0 .95; box .05 .08 .3 @ -.25 0 .68; box .05 .08 .3 @ .25 0 .68")
PURSE = assemble(
    "ball 1 .9 .6; box .06 .1 .5 @ -.3 0 .5 accent; box .06 .1 .5 @ .3 0 .5 accent; box .66 .1 .06 @ 0 0 .95 accent"
)
SUITCASE = assemble(
    "box 1 1 .88 @ 0 0 .06; box .9 .6 .06 dark; box .5 .1 .06 @ 0 .3 .97 dark; box .06 1.04 .88 @ .2 0 .06 accent; "
    "box .06 1.04 .88 @ -.2 0 .06 accent"
)
LUGGAGE = assemble("ball 1 1 .9; box .8 .8 .75 @ 0 0 .06; box .4 .1 .1 @ 0 0 .88 dark")
GUITAR_CASE = assemble("ball 1 1 .42; ball .8 1 .36 @ 0 0 .32; box .35 .8 .42 @ 0 0 .58")
GUITAR = assemble(
    "ball 1 1 .4; ball .75 1 .32 @ 0 0 .3; box .14 .4 .42 @ 0 0 .55 accent; disc .25 1.02 .1 @ 0 0 .3 dark; "
    "box .2 .5 .08 @ 0 0 .95 accent"
)
POTTED_PLANT = foliage(0.45, 18)
STUFFED_ANIMAL = assemble(
    "ball .8 .8 .62; ball .6 .65 .42 @ 0 -.05 .5; ball .25 .25 .2 @ -.25 0 .82 accent; "
    "ball .25 .25 .2 @ .25 0 .82 accent; ball .3 .5 .28 @ -.35 -.3 .2; ball .3 .5 .28 @ .35 -.3 .2"
)
DUMBBELL = assemble("box .7 .22 .22 @ 0 0 .39 metal; box .28 1 1 @ -.36 0 0; box .28 1 1 @ .36 0 0")
BROOM = assemble("can .1 .25 .82 @ 0 0 .18 accent; box 1 .9 .2")
DUSTPAN = assemble("box 1 .7 .12 @ 0 -.15 0; box 1 .06 .5 @ 0 .2 0; box .15 .12 .9 @ 0 .2 .1")
FIRE_EXTINGUISHER = assemble("can .9 .9 .75; can .4 .4 .25 @ 0 0 .75 dark; box .6 .2 .1 @ -.2 0 .88 dark")
CANDLE = assemble("can 1 1 .85; can .15 .15 .2 @ 0 0 .82 dark")

MOVABLE_OBJECTS = {
    # Electronics
    "monitor": ObjectClass(screen(), (0.52, 0.18, 0.42), "dark", "blue", on_top_of(DESKS), "office lab"),
    "tv": ObjectClass(
        screen(stand=False), (1.0, 0.07, 0.6), "dark", "blue", on_wall(1.0, 1.2), "living bedroom conference"
    ),
    "laptop": ObjectClass(
        LAPTOP, (0.34, 0.26, 0.22), "metal", "blue", on_top_of(DESKS + ", coffee table, bed"), "office conference lab"
    ),
    "keyboard": ObjectClass(
        flat_panel((5, 14), 14), (0.44, 0.15, 0.025), "dark", "gray", on_top_of(DESKS), "office lab"
    ),
    "mouse": ObjectClass(soft_body(0.8), (0.07, 0.12, 0.045), "dark", "dark", on_top_of(DESKS), "office lab"),
    "computer tower": ObjectClass(COMPUTER_TOWER, (0.2, 0.44, 0.44), "dark", "metal", ON_FLOOR, "office lab"),
    "printer": ObjectClass(
        appliance("slots"), (0.44, 0.4, 0.3), "gray", "dark", on_top_of(TOPS + ", file cabinet"), "office copyroom lab"
    ),
    "copier": ObjectClass(COPIER, (0.62, 0.62, 1.05), "white", "gray", AGAINST_WALL, "copyroom office"),
    "telephone": ObjectClass(
        TELEPHONE, (0.22, 0.2, 0.1), "dark", "gray", on_top_of(DESKS + ", nightstand"), "office conference bedroom"
    ),
    "speaker": ObjectClass(SPEAKER, (0.2, 0.22, 0.36), "dark", "gray", on_top_of(TOPS), "living office"),
    "headphones": ObjectClass(HEADPHONES, (0.2, 0.1, 0.2), "dark", "dark", on_top_of(DESKS), "office lab"),
    "power strip": ObjectClass(POWER_STRIP, (0.4, 0.08, 0.05), "white", "dark", ON_FLOOR, "office lab"),
    "alarm clock": ObjectClass(
        ALARM_CLOCK, (0.17, 0.1, 0.11), "dark", "red", on_top_of("nightstand, dresser, desk"), "bedroom"
    ),
    "lamp": ObjectClass(
        LAMP,
        (0.34, 0.34, 0.6),
        "paper",
        "metal",
        on_top_of("nightstand, end table, desk, dresser"),
        "bedroom living office",
        0.2,
    ),
    "fan": ObjectClass(pole(blades=5), (0.42, 0.3, 0.95), "gray", "white", ON_FLOOR, "bedroom living gym"),
    "machine": ObjectClass(MACHINE, (0.8, 0.6, 1.1), "green", "gray", AGAINST_WALL, "lab storage gym"),
    "vacuum cleaner": ObjectClass(
        VACUUM_CLEANER, (0.32, 0.34, 1.05), "dark", "red", ON_FLOOR, "closet storage bedroom"
    ),
    "paper cutter": ObjectClass(
        PAPER_CUTTER, (0.4, 0.34, 0.07), "cardboard", "dark", on_top_of(TOPS + ", copier"), "copyroom office"
    ),
    # Bins and containers
    "trash can": ObjectClass(
        vessel((0.78, 0.0), (1.0, 1.0), rim=0.05), (0.3, 0.3, 0.38), "dark", "dark", ON_FLOOR, "any"
    ),
    "trash bin": ObjectClass(TRASH_BIN, (0.32, 0.26, 0.46), "gray", "gray", ON_FLOOR, "hallway kitchen restroom lab"),
    "bin": ObjectClass(BIN, (0.4, 0.36, 0.62), "gray", "dark", AGAINST_WALL, "restroom hallway lobby"),
    "recycling bin": ObjectClass(
        RECYCLING_BIN, (0.34, 0.28, 0.5), "recycle", "white", ON_FLOOR, "office copyroom hallway conference"
    ),
    "storage bin": ObjectClass(
        plain_box(lid=0.05), (0.55, 0.4, 0.32), "glass", "blue", ON_FLOOR, "storage closet laundry"
    ),
    "storage container": ObjectClass(
        plain_box(lid=0.03),
        (0.4, 0.3, 0.2),
        "white",
        "green",
        on_top_of("shelf, rack, table, closet"),
        "storage closet",
    ),
    "container": ObjectClass(
        CONTAINER,
        (0.26, 0.26, 0.3),
        "white",
        "red",
        on_top_of("shelf, rack, table, counter, kitchen counter"),
        "storage kitchen lab",
    ),
    "box": ObjectClass(
        plain_box(top=True), (0.45, 0.36, 0.32), "cardboard", "cardboard", ON_FLOOR, "storage office closet any", 0.3
    ),
    "crate": ObjectClass(CRATE, (0.45, 0.34, 0.3), "lightwood", "wood", ON_FLOOR, "storage closet gym"),
    "basket": ObjectClass(BASKET, (0.4, 0.4, 0.3), "lightwood", "wood", ON_FLOOR, "living bedroom laundry closet"),
    "bucket": ObjectClass(BUCKET, (0.28, 0.28, 0.3), "bright", "metal", ON_FLOOR, "storage laundry bathroom"),
    "tube": ObjectClass(
        TUBE,
        (0.7, 0.08, 0.08),
        "paper",
        "cardboard",
        on_top_of("shelf, table, desk, cabinet, rack"),
        "office storage lab",
    ),
    "tissue box": ObjectClass(
        TISSUE_BOX,
        (0.22, 0.13, 0.14),
        "bright",
        "white",
        on_top_of(TOPS + ", bathroom vanity"),
        "office bedroom living bathroom",
    ),
    "cd case": ObjectClass(CD_CASE, (0.16, 0.15, 0.16), "glass", "bright", on_top_of(TOPS), "living bedroom"),
    # Paper
    "book": ObjectClass(BOOK, (0.22, 0.28, 0.13), "bright", "cloth", on_top_of(TOPS), "office living bedroom lab"),
    "paper": ObjectClass(
        PAPER,
        (0.3, 0.22, 0.012),
        "paper",
        "paper",
        on_top_of(DESKS + ", copier, counter, coffee table"),
        "office copyroom conference lab",
    ),
    "paper bag": ObjectClass(PAPER_BAG, (0.3, 0.18, 0.36), "cardboard", "brown", ON_FLOOR, "kitchen bedroom office"),
    # Clothes and bags
    "clothes": ObjectClass(
        CLOTHES,
        (0.55, 0.45, 0.22),
        "cloth",
        "cloth",
        on_top_of(HEAP + ", dresser, ottoman, laundry basket"),
        "bedroom closet laundry",
    ),
    "jacket": ObjectClass(
        JACKET, (0.55, 0.14, 0.75), "cloth", "dark", on_wall(0.85, 1.0), "office hallway bedroom closet"
    ),
    "blanket": ObjectClass(
        heap(3), (0.85, 0.65, 0.18), "towel", "fabric", on_top_of("bed, couch, mattress"), "bedroom living"
    ),
    "hat": ObjectClass(
        HAT,
        (0.28, 0.28, 0.14),
        "cloth",
        "dark",
        on_top_of("dresser, shelf, desk, bed, table"),
        "bedroom closet hallway",
    ),
    "shoe": ObjectClass(SHOE, (0.24, 0.28, 0.12), "cloth", "dark", ON_FLOOR, "bedroom closet hallway gym"),
    "backpack": ObjectClass(BACKPACK, (0.34, 0.26, 0.46), "cloth", "cloth", ON_FLOOR, "office bedroom lab conference"),
    "bag": ObjectClass(BAG, (0.42, 0.22, 0.36), "cloth", "cloth", ON_FLOOR, "office bedroom hallway living"),
    "purse": ObjectClass(
        PURSE, (0.3, 0.14, 0.3), "red", "yellow", on_top_of("table, desk, bed, dresser, couch"), "bedroom living office"
    ),
    "suitcase": ObjectClass(SUITCASE, (0.44, 0.26, 0.66), "cloth", "dark", ON_FLOOR, "bedroom closet hallway"),
    "luggage": ObjectClass(LUGGAGE, (0.7, 0.34, 0.4), "blue", "dark", ON_FLOOR, "bedroom lobby hallway"),
    "guitar case": ObjectClass(GUITAR_CASE, (0.4, 0.16, 1.08), "dark", "dark", AGAINST_WALL, "living bedroom lab"),
    "guitar": ObjectClass(GUITAR, (0.38, 0.12, 1.0), "wood", "dark", AGAINST_WALL, "living bedroom lab"),
    # Plants, toys, sport, cleaning and the rest
    "plant": ObjectClass(
        foliage(0.25, 34), (0.55, 0.55, 0.95), "green", "beige", ON_FLOOR, "lobby living office", 0.25
    ),
    "potted plant": ObjectClass(
        POTTED_PLANT,
        (0.26, 0.26, 0.34),
        "green",
        "red",
        on_top_of(TOPS + ", windowsill, ledge"),
        "living kitchen bedroom",
    ),
    "stuffed animal": ObjectClass(
        STUFFED_ANIMAL,
        (0.3, 0.26, 0.36),
        "brown",
        "pink",
        on_top_of("bed, couch, sofa chair, mattress, dresser"),
        "bedroom",
    ),
    "ball": ObjectClass(soft_body(1.0), (0.42, 0.42, 0.42), "bright", "bright", ON_FLOOR, "gym bedroom", 0.05),
    "dumbbell": ObjectClass(DUMBBELL, (0.3, 0.15, 0.15), "dark", "metal", ON_FLOOR, "gym"),
    "broom": ObjectClass(BROOM, (0.32, 0.1, 1.3), "yellow", "wood", AGAINST_WALL, "storage laundry kitchen"),
    "dustpan": ObjectClass(DUSTPAN, (0.28, 0.28, 0.5), "bright", "dark", AGAINST_WALL, "storage laundry kitchen"),
    "fire extinguisher": ObjectClass(
        FIRE_EXTINGUISHER, (0.17, 0.17, 0.52), "red", "dark", AGAINST_WALL, "hallway lab lobby"
    ),
    "candle": ObjectClass(
        CANDLE,
        (0.1, 0.1, 0.17),
        "red",
        "white",
        on_top_of("coffee table, nightstand, dresser, bathroom vanity, dining table"),
        "living bedroom",
    ),
    "object": ObjectClass(heap(2), (0.24, 0.22, 0.16), "bright", "gray", on_top_of(TOPS), "any", 0.35),
}
