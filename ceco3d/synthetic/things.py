"""Catalogue: electronics, containers, clothes and other loose things."""

from ceco3d.synthetic.built import built
from ceco3d.synthetic.objects import appliance, foliage, heap, pole, soft, solid, vessel
from ceco3d.synthetic.panels import flat, screen
from ceco3d.synthetic.thing import BACK, FLOOR, Thing, on, wall

DESKS = "desk, table"
TOPS = "desk, table, shelf, cabinet, coffee table, dresser, rack, counter, end table, nightstand, tv stand"
HEAP = "bed, couch, mattress, armchair, sofa chair"

LAPTOP = screen(stand=False, keys=True)
COMPUTER_TOWER = built("box 1 .97 1 @ 0 .015 0; box .85 .03 .3 @ 0 -.48 .6 accent")
COPIER = built(
    "box 1 1 .8; box .95 .9 .16 @ 0 .02 .84; box .9 .04 .14 @ 0 -.51 .1 accent; "
    "box .9 .04 .14 @ 0 -.51 .3 accent; box .35 .8 .05 @ -.66 0 .5 accent"
)
TELEPHONE = built("box 1 1 .5; box .25 .95 .5 @ -.36 0 .5; box .5 .6 .06 @ .18 -.05 .5 accent")
SPEAKER = built("box 1 1 1; disc .7 .06 .42 @ 0 -.51 .08 accent; disc .4 .06 .24 @ 0 -.51 .62 accent")
HEADPHONES = built(
    "disc .3 .9 .45 @ -.36 0 0; disc .3 .9 .45 @ .36 0 0; box .75 .25 .2 @ 0 0 .75; box .12 .25 .5 @ -.36 0 .35; "
    "box .12 .25 .5 @ .36 0 .35"
)
POWER_STRIP = built(
    "box 1 1 .8; box .08 .5 .25 @ -.35 0 .8 accent; box .08 .5 .25 @ -.12 0 .8 accent; "
    "box .08 .5 .25 @ .12 0 .8 accent; box .08 .5 .25 @ .35 0 .8 accent"
)
ALARM_CLOCK = built("box 1 1 .9; box .85 .05 .6 @ 0 -.5 .15 accent")
LAMP = pole(shade=True)
MACHINE = built("box 1 1 .55; box .6 .5 .45 @ -.1 .2 .55 accent; can .2 .3 .4 @ .38 0 .55 metal")
VACUUM_CLEANER = built("box 1 1 .12; ball .7 .7 .55 @ 0 .1 .1 accent; can .15 .12 .5 @ 0 .3 .5 dark")
PAPER_CUTTER = built("box 1 1 .4; box .08 1.1 .6 @ .46 0 .3 accent")
TRASH_BIN = vessel((0.8, 0.0), (1.0, 1.0), rim=0.04, square=True)
BIN = built("box .94 .94 .84; box 1 1 .16 @ 0 0 .84 accent")
RECYCLING_BIN = vessel((0.82, 0.0), (1.0, 1.0), rim=0.05, square=True)
CONTAINER = vessel((0.9, 0.0), (1.0, 1.0), open_=False)
CRATE = built(
    "box 1 1 .06; box 1 .05 .2 @ 0 -.47 .08; box 1 .05 .2 @ 0 -.47 .42; box 1 .05 .2 @ 0 -.47 .76; "
    "box 1 .05 .2 @ 0 .47 .08; box 1 .05 .2 @ 0 .47 .42; box 1 .05 .2 @ 0 .47 .76; box .05 1 .2 @ -.47 0 .08; "
    "box .05 1 .2 @ -.47 0 .42; box .05 1 .2 @ -.47 0 .76; box .05 1 .2 @ .47 0 .08; box .05 1 .2 @ .47 0 .42; "
    "box .05 1 .2 @ .47 0 .76"
)
BASKET = vessel((0.7, 0.0), (1.0, 0.8), (0.95, 1.0), rim=0.07)
BUCKET = vessel((0.75, 0.0), (1.0, 1.0), rim=0.05)
TUBE = built("disc .16 1 1; box 1 .8 .8 @ 0 0 .1")
TISSUE_BOX = built("box 1 1 .7; ball .4 .4 .5 @ 0 0 .5 white")
CD_CASE = built(
    "box 1 1 .16; box 1 1 .16 @ .02 0 .167 accent; box 1 1 .16 @ 0 0 .333; box 1 1 .16 @ .02 0 .5 accent; "
    "box 1 1 .16 @ 0 0 .667; box 1 1 .16 @ .02 0 .833 accent"
)
BOOK = built("box 1 1 .3; box .9 .9 .35 @ .03 .02 .3 accent; box .8 .95 .35 @ -.05 0 .65")
PAPER = flat((3, 2), 6)
PAPER_BAG = built("box 1 1 1; box .88 .8 .01 @ 0 0 1 accent; box .4 .05 .15 @ 0 -.4 1")
CLOTHES = heap(5)
JACKET = built("ball .8 .9 1; ball .28 .7 .75 @ -.4 0 .18; ball .28 .7 .75 @ .4 0 .18; ball .3 .8 .2 @ 0 0 .88 accent")
HAT = built("can 1 1 .12; ball .65 .65 1")
SHOE = built(
    "ball .45 1 .6 @ -.27 0 0; ball .42 .5 1 @ -.27 .22 0; ball .45 1 .6 @ .27 .05 0; ball .42 .5 1 @ .27 .27 0 accent"
)
BACKPACK = built("ball 1 .75 1 @ 0 .1 0; ball .75 .45 .5 @ 0 -.28 .05 accent; box .2 .1 .1 @ 0 .2 .95")
BAG = built("ball 1 1 .8; box .5 .08 .05 @ 0 0 .95; box .05 .08 .3 @ -.25 0 .68; box .05 .08 .3 @ .25 0 .68")
PURSE = built(
    "ball 1 .9 .6; box .06 .1 .5 @ -.3 0 .5 accent; box .06 .1 .5 @ .3 0 .5 accent; box .66 .1 .06 @ 0 0 .95 accent"
)
SUITCASE = built(
    "box 1 1 .88 @ 0 0 .06; box .9 .6 .06 dark; box .5 .1 .06 @ 0 .3 .97 dark; box .06 1.04 .88 @ .2 0 .06 accent; "
    "box .06 1.04 .88 @ -.2 0 .06 accent"
)
LUGGAGE = built("ball 1 1 .9; box .8 .8 .75 @ 0 0 .06; box .4 .1 .1 @ 0 0 .88 dark")
GUITAR_CASE = built("ball 1 1 .42; ball .8 1 .36 @ 0 0 .32; box .35 .8 .42 @ 0 0 .58")
GUITAR = built(
    "ball 1 1 .4; ball .75 1 .32 @ 0 0 .3; box .14 .4 .42 @ 0 0 .55 accent; disc .25 1.02 .1 @ 0 0 .3 dark; "
    "box .2 .5 .08 @ 0 0 .95 accent"
)
POTTED_PLANT = foliage(0.45, 18)
STUFFED_ANIMAL = built(
    "ball .8 .8 .62; ball .6 .65 .42 @ 0 -.05 .5; ball .25 .25 .2 @ -.25 0 .82 accent; "
    "ball .25 .25 .2 @ .25 0 .82 accent; ball .3 .5 .28 @ -.35 -.3 .2; ball .3 .5 .28 @ .35 -.3 .2"
)
DUMBBELL = built("box .7 .22 .22 @ 0 0 .39 metal; box .28 1 1 @ -.36 0 0; box .28 1 1 @ .36 0 0")
BROOM = built("can .1 .25 .82 @ 0 0 .18 accent; box 1 .9 .2")
DUSTPAN = built("box 1 .7 .12 @ 0 -.15 0; box 1 .06 .5 @ 0 .2 0; box .15 .12 .9 @ 0 .2 .1")
FIRE_EXTINGUISHER = built("can .9 .9 .75; can .4 .4 .25 @ 0 0 .75 dark; box .6 .2 .1 @ -.2 0 .88 dark")
CANDLE = built("can 1 1 .85; can .15 .15 .2 @ 0 0 .82 dark")

THINGS = {
    # Electronics
    "monitor": Thing(screen(), (0.52, 0.18, 0.42), "dark", "blue", on(DESKS), "office lab"),
    "tv": Thing(screen(stand=False), (1.0, 0.07, 0.6), "dark", "blue", wall(1.0, 1.2), "living bedroom conference"),
    "laptop": Thing(
        LAPTOP, (0.34, 0.26, 0.22), "metal", "blue", on(DESKS + ", coffee table, bed"), "office conference lab"
    ),
    "keyboard": Thing(flat((5, 14), 14), (0.44, 0.15, 0.025), "dark", "grey", on(DESKS), "office lab"),
    "mouse": Thing(soft(0.8), (0.07, 0.12, 0.045), "dark", "dark", on(DESKS), "office lab"),
    "computer tower": Thing(COMPUTER_TOWER, (0.2, 0.44, 0.44), "dark", "metal", FLOOR, "office lab"),
    "printer": Thing(
        appliance("slots"), (0.44, 0.4, 0.3), "grey", "dark", on(TOPS + ", file cabinet"), "office copyroom lab"
    ),
    "copier": Thing(COPIER, (0.62, 0.62, 1.05), "white", "grey", BACK, "copyroom office"),
    "telephone": Thing(
        TELEPHONE, (0.22, 0.2, 0.1), "dark", "grey", on(DESKS + ", nightstand"), "office conference bedroom"
    ),
    "speaker": Thing(SPEAKER, (0.2, 0.22, 0.36), "dark", "grey", on(TOPS), "living office"),
    "headphones": Thing(HEADPHONES, (0.2, 0.1, 0.2), "dark", "dark", on(DESKS), "office lab"),
    "power strip": Thing(POWER_STRIP, (0.4, 0.08, 0.05), "white", "dark", FLOOR, "office lab"),
    "alarm clock": Thing(ALARM_CLOCK, (0.17, 0.1, 0.11), "dark", "red", on("nightstand, dresser, desk"), "bedroom"),
    "lamp": Thing(
        LAMP,
        (0.34, 0.34, 0.6),
        "paper",
        "metal",
        on("nightstand, end table, desk, dresser"),
        "bedroom living office",
        0.2,
    ),
    "fan": Thing(pole(blades=5), (0.42, 0.3, 0.95), "grey", "white", FLOOR, "bedroom living gym"),
    "machine": Thing(MACHINE, (0.8, 0.6, 1.1), "green", "grey", BACK, "lab storage gym"),
    "vacuum cleaner": Thing(VACUUM_CLEANER, (0.32, 0.34, 1.05), "dark", "red", FLOOR, "closet storage bedroom"),
    "paper cutter": Thing(
        PAPER_CUTTER, (0.4, 0.34, 0.07), "cardboard", "dark", on(TOPS + ", copier"), "copyroom office"
    ),
    # Bins and containers
    "trash can": Thing(vessel((0.78, 0.0), (1.0, 1.0), rim=0.05), (0.3, 0.3, 0.38), "dark", "dark", FLOOR, "any"),
    "trash bin": Thing(TRASH_BIN, (0.32, 0.26, 0.46), "grey", "grey", FLOOR, "hallway kitchen restroom lab"),
    "bin": Thing(BIN, (0.4, 0.36, 0.62), "grey", "dark", BACK, "restroom hallway lobby"),
    "recycling bin": Thing(
        RECYCLING_BIN, (0.34, 0.28, 0.5), "recycle", "white", FLOOR, "office copyroom hallway conference"
    ),
    "storage bin": Thing(solid(lid=0.05), (0.55, 0.4, 0.32), "glass", "blue", FLOOR, "storage closet laundry"),
    "storage container": Thing(
        solid(lid=0.03), (0.4, 0.3, 0.2), "white", "green", on("shelf, rack, table, closet"), "storage closet"
    ),
    "container": Thing(
        CONTAINER,
        (0.26, 0.26, 0.3),
        "white",
        "red",
        on("shelf, rack, table, counter, kitchen counter"),
        "storage kitchen lab",
    ),
    "box": Thing(
        solid(top=True), (0.45, 0.36, 0.32), "cardboard", "cardboard", FLOOR, "storage office closet any", 0.3
    ),
    "crate": Thing(CRATE, (0.45, 0.34, 0.3), "lightwood", "wood", FLOOR, "storage closet gym"),
    "basket": Thing(BASKET, (0.4, 0.4, 0.3), "lightwood", "wood", FLOOR, "living bedroom laundry closet"),
    "bucket": Thing(BUCKET, (0.28, 0.28, 0.3), "bright", "metal", FLOOR, "storage laundry bathroom"),
    "tube": Thing(
        TUBE, (0.7, 0.08, 0.08), "paper", "cardboard", on("shelf, table, desk, cabinet, rack"), "office storage lab"
    ),
    "tissue box": Thing(
        TISSUE_BOX,
        (0.22, 0.13, 0.14),
        "bright",
        "white",
        on(TOPS + ", bathroom vanity"),
        "office bedroom living bathroom",
    ),
    "cd case": Thing(CD_CASE, (0.16, 0.15, 0.16), "glass", "bright", on(TOPS), "living bedroom"),
    # Paper
    "book": Thing(BOOK, (0.22, 0.28, 0.13), "bright", "cloth", on(TOPS), "office living bedroom lab"),
    "paper": Thing(
        PAPER,
        (0.3, 0.22, 0.012),
        "paper",
        "paper",
        on(DESKS + ", copier, counter, coffee table"),
        "office copyroom conference lab",
    ),
    "paper bag": Thing(PAPER_BAG, (0.3, 0.18, 0.36), "cardboard", "brown", FLOOR, "kitchen bedroom office"),
    # Clothes and bags
    "clothes": Thing(
        CLOTHES,
        (0.55, 0.45, 0.22),
        "cloth",
        "cloth",
        on(HEAP + ", dresser, ottoman, laundry basket"),
        "bedroom closet laundry",
    ),
    "jacket": Thing(JACKET, (0.55, 0.14, 0.75), "cloth", "dark", wall(0.85, 1.0), "office hallway bedroom closet"),
    "blanket": Thing(heap(3), (0.85, 0.65, 0.18), "towel", "fabric", on("bed, couch, mattress"), "bedroom living"),
    "hat": Thing(
        HAT, (0.28, 0.28, 0.14), "cloth", "dark", on("dresser, shelf, desk, bed, table"), "bedroom closet hallway"
    ),
    "shoe": Thing(SHOE, (0.24, 0.28, 0.12), "cloth", "dark", FLOOR, "bedroom closet hallway gym"),
    "backpack": Thing(BACKPACK, (0.34, 0.26, 0.46), "cloth", "cloth", FLOOR, "office bedroom lab conference"),
    "bag": Thing(BAG, (0.42, 0.22, 0.36), "cloth", "cloth", FLOOR, "office bedroom hallway living"),
    "purse": Thing(
        PURSE, (0.3, 0.14, 0.3), "red", "yellow", on("table, desk, bed, dresser, couch"), "bedroom living office"
    ),
    "suitcase": Thing(SUITCASE, (0.44, 0.26, 0.66), "cloth", "dark", FLOOR, "bedroom closet hallway"),
    "luggage": Thing(LUGGAGE, (0.7, 0.34, 0.4), "blue", "dark", FLOOR, "bedroom lobby hallway"),
    "guitar case": Thing(GUITAR_CASE, (0.4, 0.16, 1.08), "dark", "dark", BACK, "living bedroom lab"),
    "guitar": Thing(GUITAR, (0.38, 0.12, 1.0), "wood", "dark", BACK, "living bedroom lab"),
    # Plants, play, sport, cleaning, the rest
    "plant": Thing(foliage(0.25, 34), (0.55, 0.55, 0.95), "green", "beige", FLOOR, "lobby living office", 0.25),
    "potted plant": Thing(
        POTTED_PLANT, (0.26, 0.26, 0.34), "green", "red", on(TOPS + ", windowsill, ledge"), "living kitchen bedroom"
    ),
    "stuffed animal": Thing(
        STUFFED_ANIMAL, (0.3, 0.26, 0.36), "brown", "pink", on("bed, couch, sofa chair, mattress, dresser"), "bedroom"
    ),
    "ball": Thing(soft(1.0), (0.42, 0.42, 0.42), "bright", "bright", FLOOR, "gym bedroom", 0.05),
    "dumbbell": Thing(DUMBBELL, (0.3, 0.15, 0.15), "dark", "metal", FLOOR, "gym"),
    "broom": Thing(BROOM, (0.32, 0.1, 1.3), "yellow", "wood", BACK, "storage laundry kitchen"),
    "dustpan": Thing(DUSTPAN, (0.28, 0.28, 0.5), "bright", "dark", BACK, "storage laundry kitchen"),
    "fire extinguisher": Thing(FIRE_EXTINGUISHER, (0.17, 0.17, 0.52), "red", "dark", BACK, "hallway lab lobby"),
    "candle": Thing(
        CANDLE,
        (0.1, 0.1, 0.17),
        "red",
        "white",
        on("coffee table, nightstand, dresser, bathroom vanity, dining table"),
        "living bedroom",
    ),
    "object": Thing(heap(2), (0.24, 0.22, 0.16), "bright", "grey", on(TOPS), "any", 0.35),
}
