"""Catalogue: kitchen, bathroom and laundry."""

from ceco3d.synthetic.built import built
from ceco3d.synthetic.objects import appliance, bottle, vessel
from ceco3d.synthetic.panels import flat, hanging, slats
from ceco3d.synthetic.programs import fronted
from ceco3d.synthetic.thing import BACK, FLOOR, Thing, on, wall

COUNTERS = "kitchen counter, counter, table, dining table, bar, rack, shelf"
BASINS = "bathroom vanity, bathroom counter, kitchen counter, counter"

BATHROOM_COUNTER = built(
    "box 1 1 .12 @ 0 0 .88 accent; box 1 .1 .88 @ 0 .4 0; box .05 .8 .88 @ -.47 .1 0; box .05 .8 .88 @ .47 .1 0",
    top=0.6,
)
SINK = vessel((0.8, 0.0), (1.0, 1.0), rim=0.05, square=True)
TOILET = built(
    "can .6 .5 .5 @ 0 -.1 0; ball .95 .7 .28 @ 0 -.14 .34; can .9 .62 .05 @ 0 -.15 .52 accent; "
    "box 1 .26 .5 @ 0 .36 .46; box 1.05 .28 .05 @ 0 .36 .96"
)
BATHTUB = vessel((0.9, 0.0), (1.0, 1.0), rim=0.04, square=True)
STOVE = built(
    "box 1 1 .86; box .7 .04 .4 @ 0 -.51 .25 dark; box 1 .08 .14 @ 0 .46 .86; "
    "can .3 .3 .02 @ -.25 -.22 .86 dark; can .3 .3 .02 @ .25 -.22 .86 dark; can .24 .24 .02 @ -.25 .2 .86 dark; "
    "can .24 .24 .02 @ .25 .2 .86 dark"
)
TOASTER = built("ball 1 1 1; box .9 .7 .8 @ 0 0 .05; box .7 .15 .05 @ 0 -.2 .84 dark; box .7 .15 .05 @ 0 .2 .84 dark")
COFFEE_MAKER = built("box 1 .4 1 @ 0 .3 0; box 1 1 .25 @ 0 0 .75; box 1 1 .1; can .6 .5 .45 @ 0 -.2 .12 accent")
COFFEE_KETTLE = built(
    "ball .85 1 .9; box .2 .2 .12 @ -.45 0 .55; can .3 .3 .12 @ 0 0 .88 dark; box .1 .15 .6 @ .46 0 .25 dark"
)
WATER_PITCHER = vessel((0.75, 0.0), (0.9, 0.6), (0.7, 0.85), (0.8, 1.0))
CUP = vessel((0.8, 0.0), (1.0, 1.0))
TRAY = vessel((0.95, 0.0), (1.0, 1.0), square=True)
SOAP_DISH = built("box 1 1 .4; ball .7 .6 .7 @ 0 0 .3 accent")
SOAP_DISPENSER = built("box 1 .8 .8 @ 0 .1 .2; box .5 .9 .2 @ 0 -.05 .05 accent")
PAPER_TOWEL_DISPENSER = built("box 1 1 .85 @ 0 0 .15; box .8 .6 .16 white")
PAPER_TOWEL_ROLL = built("can .9 .9 .88 @ 0 0 .05; can .25 .25 1 accent; can 1 1 .05 accent")
TOILET_PAPER = built("disc 1 1 1; disc .35 1.04 .35 @ 0 0 .33 accent")
TOILET_PAPER_HOLDER = built("box 1 .2 .5 @ 0 .4 .5; box .1 1 .3 @ -.45 0 .4; box .9 .25 .25 @ 0 -.35 .4")
TOILET_PAPER_DISPENSER = built("disc 1 1 1; disc .3 1.05 .3 @ 0 0 .35 accent")
TOILET_SEAT_COVER_DISPENSER = built("box 1 1 1; box .6 1.1 .2 @ 0 0 .1 white")
HAIR_DRYER = built("box .45 .6 .65 @ 0 .1 0 accent; box 1 .6 .4 @ 0 -.1 .6")
PLUNGER = built("can 1 1 .25 accent; can .25 .25 .78 @ 0 0 .22")
LAUNDRY_HAMPER = vessel((0.85, 0.0), (1.0, 1.0), rim=0.05)
LAUNDRY_DETERGENT = built("box .9 .9 .75; can .45 .6 .25 @ -.2 0 .75 accent; box .15 .5 .2 @ .35 0 .75")
WATER_COOLER = built("box 1 1 .68; can .85 .85 .32 @ 0 0 .68 accent; box .6 .2 .12 @ 0 -.5 .5 dark")
CASE_OF_WATER_BOTTLES = built(
    "can .24 .32 1 @ -.37 -.33 0; can .24 .32 1 @ -.37 0 0; can .24 .32 1 @ -.37 .33 0; "
    "can .24 .32 1 @ -.12 -.33 0 accent; can .24 .32 1 @ -.12 0 0 accent; can .24 .32 1 @ -.12 .33 0 accent; "
    "can .24 .32 1 @ .12 -.33 0; can .24 .32 1 @ .12 0 0; can .24 .32 1 @ .12 .33 0; "
    "can .24 .32 1 @ .37 -.33 0 accent; can .24 .32 1 @ .37 0 0 accent; can .24 .32 1 @ .37 .33 0 accent; "
    "box 1 1 .55"
)
WATER_BOTTLE = bottle(0.6, label=False)
BOTTLE = bottle()

KITCHEN_BATH = {
    "kitchen counter": Thing(fronted(2, 3, slab=0.03), (1.6, 0.6, 0.9), "white", "grey", BACK, "kitchen"),
    "counter": Thing(
        fronted(1, 2, "none", slab=0.04), (1.3, 0.55, 0.95), "wood", "white", BACK, "kitchen lab copyroom lobby"
    ),
    "bathroom counter": Thing(BATHROOM_COUNTER, (1.2, 0.52, 0.85), "beige", "grey", BACK, "restroom bathroom"),
    "sink": Thing(SINK, (0.48, 0.4, 0.17), "white", "metal", on(BASINS), "bathroom restroom kitchen"),
    "toilet": Thing(TOILET, (0.42, 0.68, 0.76), "white", "white", BACK, "bathroom restroom", 0.08),
    "bathtub": Thing(BATHTUB, (1.5, 0.72, 0.52), "white", "white", BACK, "bathroom", 0.08),
    "refrigerator": Thing(appliance("split"), (0.72, 0.68, 1.7), "white", "metal", BACK, "kitchen"),
    "mini fridge": Thing(appliance("door"), (0.5, 0.5, 0.82), "dark", "metal", BACK, "office bedroom kitchen"),
    "stove": Thing(STOVE, (0.68, 0.62, 1.05), "white", "dark", BACK, "kitchen"),
    "oven": Thing(appliance("door", knobs=4, window=True), (0.6, 0.55, 0.72), "metal", "dark", BACK, "kitchen"),
    "range hood": Thing(
        built("box 1 1 .25; box .4 .5 .75 @ 0 .25 .25"), (0.7, 0.48, 0.55), "metal", "metal", wall(1.5), "kitchen"
    ),
    "dishwasher": Thing(appliance("door", knobs=3), (0.58, 0.56, 0.84), "metal", "dark", BACK, "kitchen"),
    "washing machine": Thing(appliance("round", knobs=2), (0.62, 0.6, 0.88), "white", "metal", BACK, "laundry"),
    "clothes dryer": Thing(appliance("round", knobs=4), (0.66, 0.64, 0.98), "white", "white", BACK, "laundry"),
    "microwave": Thing(appliance("none", window=True), (0.5, 0.36, 0.29), "dark", "metal", on(COUNTERS), "kitchen"),
    "toaster": Thing(TOASTER, (0.3, 0.19, 0.2), "metal", "dark", on(COUNTERS), "kitchen"),
    "toaster oven": Thing(
        appliance("none", knobs=3, window=True), (0.42, 0.3, 0.24), "metal", "dark", on(COUNTERS), "kitchen"
    ),
    "coffee maker": Thing(COFFEE_MAKER, (0.2, 0.26, 0.36), "dark", "glass", on(COUNTERS), "kitchen office"),
    "coffee kettle": Thing(COFFEE_KETTLE, (0.26, 0.19, 0.23), "metal", "dark", on("stove, " + COUNTERS), "kitchen"),
    "water pitcher": Thing(WATER_PITCHER, (0.18, 0.18, 0.28), "glass", "white", on(COUNTERS), "kitchen"),
    "bowl": Thing(
        vessel((0.45, 0.0), (0.85, 0.5), (1.0, 1.0)), (0.24, 0.24, 0.11), "bright", "white", on(COUNTERS), "kitchen"
    ),
    "plate": Thing(vessel((0.6, 0.0), (1.0, 1.0)), (0.28, 0.28, 0.035), "white", "blue", on(COUNTERS), "kitchen"),
    "cup": Thing(
        CUP,
        (0.1, 0.1, 0.12),
        "bright",
        "white",
        on("desk, coffee table, " + COUNTERS),
        "kitchen office conference living",
    ),
    "tray": Thing(TRAY, (0.42, 0.3, 0.04), "brown", "dark", on(COUNTERS + ", coffee table"), "kitchen living"),
    "dish rack": Thing(slats(8, vertical=True), (0.42, 0.3, 0.15), "metal", "metal", on(COUNTERS), "kitchen"),
    "soap dish": Thing(SOAP_DISH, (0.15, 0.11, 0.06), "white", "pink", on(BASINS + ", bathtub"), "bathroom"),
    "soap dispenser": Thing(SOAP_DISPENSER, (0.13, 0.12, 0.25), "white", "dark", wall(1.0, 1.2), "restroom bathroom"),
    "paper towel dispenser": Thing(
        PAPER_TOWEL_DISPENSER, (0.32, 0.2, 0.42), "metal", "white", wall(1.1, 1.2), "restroom kitchen"
    ),
    "paper towel roll": Thing(PAPER_TOWEL_ROLL, (0.15, 0.15, 0.28), "paper", "wood", on(COUNTERS), "kitchen restroom"),
    "toilet paper": Thing(TOILET_PAPER, (0.13, 0.12, 0.13), "paper", "cardboard", wall(0.6, 0.75), "bathroom restroom"),
    "toilet paper holder": Thing(TOILET_PAPER_HOLDER, (0.18, 0.1, 0.12), "metal", "metal", wall(0.65, 0.8), "bathroom"),
    "toilet paper dispenser": Thing(
        TOILET_PAPER_DISPENSER, (0.3, 0.13, 0.3), "dark", "grey", wall(0.6, 0.8), "restroom"
    ),
    "toilet seat cover dispenser": Thing(
        TOILET_SEAT_COVER_DISPENSER, (0.42, 0.07, 0.3), "metal", "white", wall(1.1, 1.25), "restroom"
    ),
    "hair dryer": Thing(HAIR_DRYER, (0.22, 0.13, 0.24), "white", "dark", wall(1.2, 1.35), "bathroom"),
    "plunger": Thing(PLUNGER, (0.15, 0.15, 0.55), "wood", "red", BACK, "bathroom restroom"),
    "towel": Thing(hanging(1, 0.02), (0.42, 0.06, 0.65), "towel", "towel", wall(0.8, 1.1), "bathroom kitchen gym"),
    "mat": Thing(flat((3, 4), 12), (0.75, 0.5, 0.02), "fabric", "fabric", FLOOR, "bathroom gym hallway"),
    "scale": Thing(flat((1, 3), 25), (0.32, 0.3, 0.05), "white", "glass", FLOOR, "bathroom gym"),
    "laundry basket": Thing(
        vessel((0.8, 0.0), (1.0, 1.0), rim=0.06), (0.52, 0.4, 0.34), "white", "blue", FLOOR, "laundry bedroom closet"
    ),
    "laundry hamper": Thing(
        LAUNDRY_HAMPER, (0.4, 0.4, 0.62), "beige", "brown", BACK, "laundry bedroom bathroom closet"
    ),
    "laundry detergent": Thing(
        LAUNDRY_DETERGENT,
        (0.2, 0.13, 0.28),
        "bright",
        "yellow",
        on("washing machine, clothes dryer, shelf, rack"),
        "laundry",
    ),
    "water cooler": Thing(WATER_COOLER, (0.34, 0.34, 1.3), "white", "blue", BACK, "office lobby copyroom gym"),
    "case of water bottles": Thing(
        CASE_OF_WATER_BOTTLES, (0.4, 0.27, 0.22), "glass", "blue", FLOOR, "storage kitchen laundry office"
    ),
    "water bottle": Thing(
        WATER_BOTTLE,
        (0.09, 0.09, 0.26),
        "bright",
        "dark",
        on("desk, table, shelf, bench, nightstand"),
        "office gym lab bedroom",
    ),
    "bottle": Thing(
        BOTTLE,
        (0.1, 0.1, 0.3),
        "green",
        "white",
        on("desk, nightstand, bathroom vanity, bathroom counter, " + COUNTERS),
        "kitchen bathroom living bedroom",
    ),
}
