"""Catalog: kitchen, bathroom and laundry."""

from ceco3d.synthetic.catalog.object_class import AGAINST_WALL, ON_FLOOR, ObjectClass, on_top_of, on_wall
from ceco3d.synthetic.shapes.assembly import assemble
from ceco3d.synthetic.shapes.bodies import appliance, bottle, vessel
from ceco3d.synthetic.shapes.furniture import cabinet
from ceco3d.synthetic.shapes.panels import flat_panel, hanging_cloth, slats

COUNTERS = "kitchen counter, counter, table, dining table, bar, rack, shelf"
BASINS = "bathroom vanity, bathroom counter, kitchen counter, counter"

BATHROOM_COUNTER = assemble(
    "box 1 1 .12 @ 0 0 .88 accent; box 1 .1 .88 @ 0 .4 0; box .05 .8 .88 @ -.47 .1 0; box .05 .8 .88 @ .47 .1 0",
    top=0.6,
)
SINK = vessel((0.8, 0.0), (1.0, 1.0), rim=0.05, square=True)
TOILET = assemble(
    "can .6 .5 .5 @ 0 -.1 0; ball .95 .7 .28 @ 0 -.14 .34; can .9 .62 .05 @ 0 -.15 .52 accent; "
    "box 1 .26 .5 @ 0 .36 .46; box 1.05 .28 .05 @ 0 .36 .96"
)
BATHTUB = vessel((0.9, 0.0), (1.0, 1.0), rim=0.04, square=True)
STOVE = assemble(
    "box 1 1 .86; box .7 .04 .4 @ 0 -.51 .25 dark; box 1 .08 .14 @ 0 .46 .86; "
    "can .3 .3 .02 @ -.25 -.22 .86 dark; can .3 .3 .02 @ .25 -.22 .86 dark; can .24 .24 .02 @ -.25 .2 .86 dark; "
    "can .24 .24 .02 @ .25 .2 .86 dark"
)
TOASTER = assemble(
    "ball 1 1 1; box .9 .7 .8 @ 0 0 .05; box .7 .15 .05 @ 0 -.2 .84 dark; box .7 .15 .05 @ 0 .2 .84 dark"
)
COFFEE_MAKER = assemble("box 1 .4 1 @ 0 .3 0; box 1 1 .25 @ 0 0 .75; box 1 1 .1; can .6 .5 .45 @ 0 -.2 .12 accent")
COFFEE_KETTLE = assemble(
    "ball .85 1 .9; box .2 .2 .12 @ -.45 0 .55; can .3 .3 .12 @ 0 0 .88 dark; box .1 .15 .6 @ .46 0 .25 dark"
)
WATER_PITCHER = vessel((0.75, 0.0), (0.9, 0.6), (0.7, 0.85), (0.8, 1.0))
CUP = vessel((0.8, 0.0), (1.0, 1.0))
TRAY = vessel((0.95, 0.0), (1.0, 1.0), square=True)
SOAP_DISH = assemble("box 1 1 .4; ball .7 .6 .7 @ 0 0 .3 accent")
SOAP_DISPENSER = assemble("box 1 .8 .8 @ 0 .1 .2; box .5 .9 .2 @ 0 -.05 .05 accent")
PAPER_TOWEL_DISPENSER = assemble("box 1 1 .85 @ 0 0 .15; box .8 .6 .16 white")
PAPER_TOWEL_ROLL = assemble("can .9 .9 .88 @ 0 0 .05; can .25 .25 1 accent; can 1 1 .05 accent")
TOILET_PAPER = assemble("disc 1 1 1; disc .35 1.04 .35 @ 0 0 .33 accent")
TOILET_PAPER_HOLDER = assemble("box 1 .2 .5 @ 0 .4 .5; box .1 1 .3 @ -.45 0 .4; box .9 .25 .25 @ 0 -.35 .4")
TOILET_PAPER_DISPENSER = assemble("disc 1 1 1; disc .3 1.05 .3 @ 0 0 .35 accent")
TOILET_SEAT_COVER_DISPENSER = assemble("box 1 1 1; box .6 1.1 .2 @ 0 0 .1 white")
HAIR_DRYER = assemble("box .45 .6 .65 @ 0 .1 0 accent; box 1 .6 .4 @ 0 -.1 .6")
PLUNGER = assemble("can 1 1 .25 accent; can .25 .25 .78 @ 0 0 .22")
LAUNDRY_HAMPER = vessel((0.85, 0.0), (1.0, 1.0), rim=0.05)
LAUNDRY_DETERGENT = assemble("box .9 .9 .75; can .45 .6 .25 @ -.2 0 .75 accent; box .15 .5 .2 @ .35 0 .75")
WATER_COOLER = assemble("box 1 1 .68; can .85 .85 .32 @ 0 0 .68 accent; box .6 .2 .12 @ 0 -.5 .5 dark")
CASE_OF_WATER_BOTTLES = assemble(
    "can .24 .32 1 @ -.37 -.33 0; can .24 .32 1 @ -.37 0 0; can .24 .32 1 @ -.37 .33 0; "
    "can .24 .32 1 @ -.12 -.33 0 accent; can .24 .32 1 @ -.12 0 0 accent; can .24 .32 1 @ -.12 .33 0 accent; "
    "can .24 .32 1 @ .12 -.33 0; can .24 .32 1 @ .12 0 0; can .24 .32 1 @ .12 .33 0; "
    "can .24 .32 1 @ .37 -.33 0 accent; can .24 .32 1 @ .37 0 0 accent; can .24 .32 1 @ .37 .33 0 accent; "
    "box 1 1 .55"
)
WATER_BOTTLE = bottle(0.6, label=False)
BOTTLE = bottle()

KITCHEN_BATH = {
    "kitchen counter": ObjectClass(cabinet(2, 3, slab=0.03), (1.6, 0.6, 0.9), "white", "gray", AGAINST_WALL, "kitchen"),
    "counter": ObjectClass(
        cabinet(1, 2, "none", slab=0.04), (1.3, 0.55, 0.95), "wood", "white", AGAINST_WALL, "kitchen lab copyroom lobby"
    ),
    "bathroom counter": ObjectClass(
        BATHROOM_COUNTER, (1.2, 0.52, 0.85), "beige", "gray", AGAINST_WALL, "restroom bathroom"
    ),
    "sink": ObjectClass(SINK, (0.48, 0.4, 0.17), "white", "metal", on_top_of(BASINS), "bathroom restroom kitchen"),
    "toilet": ObjectClass(TOILET, (0.42, 0.68, 0.76), "white", "white", AGAINST_WALL, "bathroom restroom", 0.08),
    "bathtub": ObjectClass(BATHTUB, (1.5, 0.72, 0.52), "white", "white", AGAINST_WALL, "bathroom", 0.08),
    "refrigerator": ObjectClass(appliance("split"), (0.72, 0.68, 1.7), "white", "metal", AGAINST_WALL, "kitchen"),
    "mini fridge": ObjectClass(
        appliance("door"), (0.5, 0.5, 0.82), "dark", "metal", AGAINST_WALL, "office bedroom kitchen"
    ),
    "stove": ObjectClass(STOVE, (0.68, 0.62, 1.05), "white", "dark", AGAINST_WALL, "kitchen"),
    "oven": ObjectClass(
        appliance("door", knobs=4, window=True), (0.6, 0.55, 0.72), "metal", "dark", AGAINST_WALL, "kitchen"
    ),
    "range hood": ObjectClass(
        assemble("box 1 1 .25; box .4 .5 .75 @ 0 .25 .25"), (0.7, 0.48, 0.55), "metal", "metal", on_wall(1.5), "kitchen"
    ),
    "dishwasher": ObjectClass(appliance("door", knobs=3), (0.58, 0.56, 0.84), "metal", "dark", AGAINST_WALL, "kitchen"),
    "washing machine": ObjectClass(
        appliance("round", knobs=2), (0.62, 0.6, 0.88), "white", "metal", AGAINST_WALL, "laundry"
    ),
    "clothes dryer": ObjectClass(
        appliance("round", knobs=4), (0.66, 0.64, 0.98), "white", "white", AGAINST_WALL, "laundry"
    ),
    "microwave": ObjectClass(
        appliance("none", window=True), (0.5, 0.36, 0.29), "dark", "metal", on_top_of(COUNTERS), "kitchen"
    ),
    "toaster": ObjectClass(TOASTER, (0.3, 0.19, 0.2), "metal", "dark", on_top_of(COUNTERS), "kitchen"),
    "toaster oven": ObjectClass(
        appliance("none", knobs=3, window=True), (0.42, 0.3, 0.24), "metal", "dark", on_top_of(COUNTERS), "kitchen"
    ),
    "coffee maker": ObjectClass(
        COFFEE_MAKER, (0.2, 0.26, 0.36), "dark", "glass", on_top_of(COUNTERS), "kitchen office"
    ),
    "coffee kettle": ObjectClass(
        COFFEE_KETTLE, (0.26, 0.19, 0.23), "metal", "dark", on_top_of("stove, " + COUNTERS), "kitchen"
    ),
    "water pitcher": ObjectClass(WATER_PITCHER, (0.18, 0.18, 0.28), "glass", "white", on_top_of(COUNTERS), "kitchen"),
    "bowl": ObjectClass(
        vessel((0.45, 0.0), (0.85, 0.5), (1.0, 1.0)),
        (0.24, 0.24, 0.11),
        "bright",
        "white",
        on_top_of(COUNTERS),
        "kitchen",
    ),
    "plate": ObjectClass(
        vessel((0.6, 0.0), (1.0, 1.0)), (0.28, 0.28, 0.035), "white", "blue", on_top_of(COUNTERS), "kitchen"
    ),
    "cup": ObjectClass(
        CUP,
        (0.1, 0.1, 0.12),
        "bright",
        "white",
        on_top_of("desk, coffee table, " + COUNTERS),
        "kitchen office conference living",
    ),
    "tray": ObjectClass(
        TRAY, (0.42, 0.3, 0.04), "brown", "dark", on_top_of(COUNTERS + ", coffee table"), "kitchen living"
    ),
    "dish rack": ObjectClass(
        slats(8, vertical=True), (0.42, 0.3, 0.15), "metal", "metal", on_top_of(COUNTERS), "kitchen"
    ),
    "soap dish": ObjectClass(
        SOAP_DISH, (0.15, 0.11, 0.06), "white", "pink", on_top_of(BASINS + ", bathtub"), "bathroom"
    ),
    "soap dispenser": ObjectClass(
        SOAP_DISPENSER, (0.13, 0.12, 0.25), "white", "dark", on_wall(1.0, 1.2), "restroom bathroom"
    ),
    "paper towel dispenser": ObjectClass(
        PAPER_TOWEL_DISPENSER, (0.32, 0.2, 0.42), "metal", "white", on_wall(1.1, 1.2), "restroom kitchen"
    ),
    "paper towel roll": ObjectClass(
        PAPER_TOWEL_ROLL, (0.15, 0.15, 0.28), "paper", "wood", on_top_of(COUNTERS), "kitchen restroom"
    ),
    "toilet paper": ObjectClass(
        TOILET_PAPER, (0.13, 0.12, 0.13), "paper", "cardboard", on_wall(0.6, 0.75), "bathroom restroom"
    ),
    "toilet paper holder": ObjectClass(
        TOILET_PAPER_HOLDER, (0.18, 0.1, 0.12), "metal", "metal", on_wall(0.65, 0.8), "bathroom"
    ),
    "toilet paper dispenser": ObjectClass(
        TOILET_PAPER_DISPENSER, (0.3, 0.13, 0.3), "dark", "gray", on_wall(0.6, 0.8), "restroom"
    ),
    "toilet seat cover dispenser": ObjectClass(
        TOILET_SEAT_COVER_DISPENSER, (0.42, 0.07, 0.3), "metal", "white", on_wall(1.1, 1.25), "restroom"
    ),
    "hair dryer": ObjectClass(HAIR_DRYER, (0.22, 0.13, 0.24), "white", "dark", on_wall(1.2, 1.35), "bathroom"),
    "plunger": ObjectClass(PLUNGER, (0.15, 0.15, 0.55), "wood", "red", AGAINST_WALL, "bathroom restroom"),
    "towel": ObjectClass(
        hanging_cloth(1, 0.02), (0.42, 0.06, 0.65), "towel", "towel", on_wall(0.8, 1.1), "bathroom kitchen gym"
    ),
    "mat": ObjectClass(flat_panel((3, 4), 12), (0.75, 0.5, 0.02), "fabric", "fabric", ON_FLOOR, "bathroom gym hallway"),
    "scale": ObjectClass(flat_panel((1, 3), 25), (0.32, 0.3, 0.05), "white", "glass", ON_FLOOR, "bathroom gym"),
    "laundry basket": ObjectClass(
        vessel((0.8, 0.0), (1.0, 1.0), rim=0.06), (0.52, 0.4, 0.34), "white", "blue", ON_FLOOR, "laundry bedroom closet"
    ),
    "laundry hamper": ObjectClass(
        LAUNDRY_HAMPER, (0.4, 0.4, 0.62), "beige", "brown", AGAINST_WALL, "laundry bedroom bathroom closet"
    ),
    "laundry detergent": ObjectClass(
        LAUNDRY_DETERGENT,
        (0.2, 0.13, 0.28),
        "bright",
        "yellow",
        on_top_of("washing machine, clothes dryer, shelf, rack"),
        "laundry",
    ),
    "water cooler": ObjectClass(
        WATER_COOLER, (0.34, 0.34, 1.3), "white", "blue", AGAINST_WALL, "office lobby copyroom gym"
    ),
    "case of water bottles": ObjectClass(
        CASE_OF_WATER_BOTTLES, (0.4, 0.27, 0.22), "glass", "blue", ON_FLOOR, "storage kitchen laundry office"
    ),
    "water bottle": ObjectClass(
        WATER_BOTTLE,
        (0.09, 0.09, 0.26),
        "bright",
        "dark",
        on_top_of("desk, table, shelf, bench, nightstand"),
        "office gym lab bedroom",
    ),
    "bottle": ObjectClass(
        BOTTLE,
        (0.1, 0.1, 0.3),
        "green",
        "white",
        on_top_of("desk, nightstand, bathroom vanity, bathroom counter, " + COUNTERS),
        "kitchen bathroom living bedroom",
    ),
}
