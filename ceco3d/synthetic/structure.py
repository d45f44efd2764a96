"""Catalogue: what is built in - openings, wall and ceiling fittings. Walls, floor and ceiling come from the room."""

from ceco3d.synthetic.built import built
from ceco3d.synthetic.objects import bars, solid, stairs
from ceco3d.synthetic.panels import hanging, opening, panel, slats
from ceco3d.synthetic.thing import BACK, CEILING, FLOOR, Thing, around, wall

CLOSET_DOOR = built("box .5 .5 1 @ -.25 -.25 0; box .5 .5 1 @ .25 .25 0; box .02 .8 .1 @ -.05 -.3 .45 metal")
SHOWER_FLOOR = built(
    "box 1 1 .6; box 1 .06 1 @ 0 -.47 0; box 1 .06 1 @ 0 .47 0; box .06 1 1 @ -.47 0 0; box .06 1 1 @ .47 0 0"
)
CLOSET_ROD = bars(((-0.5, 0.5, 0.5), (-0.5, -0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, 0.5)), r=0.016)
HANDICAP_BAR = bars(((-0.5, 0.5, 0.5), (-0.5, -0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, 0.5)), r=0.018)
SHOWER = built("box .1 .3 1 @ 0 .3 0 metal; can 1 .9 .05 @ 0 -.1 .93 metal; box .6 .4 .12 @ 0 .1 .3 metal")
SHOWER_HEAD = built("box .25 1 .25 @ 0 0 .75; can 1 .6 .4 @ 0 -.3 .3")
PROJECTOR = built("box 1 1 .4; disc .25 .3 .3 @ .25 -.5 .05 dark; box .1 .1 .6 @ 0 0 .4 metal")
FIRE_ALARM = built("box 1 .6 1 @ 0 .2 0; box .5 .5 .3 @ 0 -.2 .3 white")
LIGHT_SWITCH = built("box 1 .6 1 @ 0 .2 0; box .3 .6 .4 @ 0 -.2 .3 accent")
POWER_OUTLET = built("box 1 .6 1 @ 0 .2 0; box .4 .3 .2 @ 0 -.2 .2 dark; box .4 .3 .2 @ 0 -.2 .6 dark")
PICTURE = panel((3, 4), spread=35)
CLOCK = built("disc 1 .6 1 @ 0 .2 0; disc .85 .4 .85 @ 0 -.3 .07 accent; box .05 .2 .35 @ 0 -.55 .45 dark")
DECORATION = built("disc 1 .4 1 @ 0 .2 0; ball .5 .8 .5 @ 0 -.1 .25 accent")

STRUCTURE = {
    "door": Thing(opening(leaf=0.04, knob=True), (0.85, 0.08, 2.0), "wood", "wood", wall(0), "any", 0.06),
    "doorframe": Thing(opening(), (1.0, 0.14, 2.1), "white", "white", around("door, closet door"), "any", 0.06),
    "closet door": Thing(CLOSET_DOOR, (1.3, 0.1, 2.0), "white", "white", wall(0), "bedroom closet hallway", 0.08),
    "bathroom stall door": Thing(panel(), (0.62, 0.04, 1.5), "beige", "beige", FLOOR, "restroom"),
    "shower door": Thing(panel(frame=0.03), (0.75, 0.04, 1.8), "metal", "glass", FLOOR, "bathroom"),
    "window": Thing(opening(muntins=(2, 2)), (1.0, 0.1, 1.1), "glass", "white", wall(0.9), "any", 0.2),
    "windowsill": Thing(solid(top=True), (1.1, 0.2, 0.05), "white", "white", around("window", -1), "any"),
    "closet wall": Thing(solid(), (1.2, 0.08, 2.2), "wallpaint", "white", wall(0), "closet bedroom"),
    "shower wall": Thing(panel((6, 4), 0.0, 6), (0.9, 0.04, 2.0), "white", "white", wall(0), "bathroom"),
    "shower floor": Thing(SHOWER_FLOOR, (0.9, 0.8, 0.1), "white", "white", BACK, "bathroom"),
    "column": Thing(built("can 1 1 1"), (0.36, 0.36, 2.2), "wallpaint", "white", FLOOR, "lobby lab hallway"),
    "pillar": Thing(solid(), (0.4, 0.4, 2.2), "wallpaint", "white", BACK, "lobby lab gym"),
    "ledge": Thing(solid(top=True), (1.2, 0.22, 0.5), "wallpaint", "white", BACK, "hallway bathroom lobby"),
    "stairs": Thing(stairs(5), (0.95, 1.1, 0.85), "wood", "wood", BACK, "hallway lobby"),
    "curtain": Thing(hanging(6), (0.8, 0.1, 1.6), "towel", "fabric", wall(0.35, 0.6), "bedroom living"),
    "shower curtain": Thing(hanging(7, 0.05), (0.95, 0.1, 1.6), "white", "towel", wall(0.2, 0.3), "bathroom"),
    "blinds": Thing(
        slats(18), (0.95, 0.04, 1.1), "white", "white", around("window", 1), "office conference lab living"
    ),
    "shower curtain rod": Thing(
        bars(((-0.5, 0, 0.5), (0.5, 0, 0.5)), r=0.018), (1.2, 0.04, 0.04), "metal", "metal", wall(1.9), "bathroom"
    ),
    "closet rod": Thing(CLOSET_ROD, (0.9, 0.25, 0.04), "wood", "metal", wall(1.6), "closet"),
    "handicap bar": Thing(HANDICAP_BAR, (0.8, 0.08, 0.04), "metal", "metal", wall(0.8), "restroom bathroom"),
    "shower": Thing(SHOWER, (0.24, 0.24, 1.1), "white", "metal", wall(0.9), "bathroom"),
    "shower head": Thing(SHOWER_HEAD, (0.16, 0.26, 0.14), "metal", "metal", wall(1.8), "bathroom"),
    "ceiling light": Thing(
        built("can 1 1 .6 @ 0 0 .4 white; ball .8 .8 .8"), (0.38, 0.38, 0.14), "yellow", "white", CEILING, "any"
    ),
    "light": Thing(panel(frame=0.02), (1.1, 0.06, 0.16), "white", "paper", wall(1.9), "bathroom restroom office gym"),
    "projector": Thing(PROJECTOR, (0.36, 0.32, 0.3), "white", "dark", CEILING, "conference lab"),
    "vent": Thing(slats(7), (0.42, 0.04, 0.3), "metal", "dark", wall(1.7, 1.9), "any"),
    "pipe": Thing(
        bars(((0, 0, 0), (0, 0, 1)), r=0.045), (0.1, 0.12, 1.9), "metal", "metal", BACK, "storage laundry bathroom"
    ),
    "fire alarm": Thing(FIRE_ALARM, (0.14, 0.06, 0.18), "red", "white", wall(1.4, 1.7), "any"),
    "light switch": Thing(LIGHT_SWITCH, (0.12, 0.02, 0.14), "white", "grey", wall(1.1, 1.25), "any"),
    "power outlet": Thing(POWER_OUTLET, (0.12, 0.02, 0.15), "white", "dark", wall(0.25, 0.4), "any"),
    # Flat things on walls
    "picture": Thing(
        PICTURE, (0.55, 0.03, 0.45), "wood", "bright", wall(1.2, 1.5), "living bedroom lobby hallway", 0.3
    ),
    "poster": Thing(
        panel((5, 3), 0.0, 55), (0.5, 0.008, 0.7), "paper", "bright", wall(1.0, 1.4), "lab bedroom hallway"
    ),
    "calendar": Thing(panel((6, 5), 0.015, 18), (0.3, 0.01, 0.42), "paper", "paper", wall(1.3, 1.5), "kitchen office"),
    "sign": Thing(
        panel((1, 3), 0.015, 30), (0.34, 0.015, 0.22), "bright", "paper", wall(1.5, 1.7), "hallway lobby restroom"
    ),
    "whiteboard": Thing(
        panel((4, 6), 0.03, 4), (1.4, 0.04, 0.95), "metal", "white", wall(0.95), "conference office lab"
    ),
    "blackboard": Thing(panel((3, 6), 0.04, 8), (1.6, 0.05, 0.95), "wood", "dark", wall(0.95), "lab"),
    "bulletin board": Thing(
        panel((4, 6), 0.03, 28), (1.0, 0.03, 0.8), "wood", "cardboard", wall(1.1), "hallway lab copyroom"
    ),
    "board": Thing(panel((1, 2), 0.0, 5), (0.9, 0.02, 0.8), "beige", "beige", wall(0.9, 1.2), "lab office storage"),
    "projector screen": Thing(panel((1, 1), 0.05), (1.5, 0.05, 1.2), "dark", "white", wall(0.9), "conference lab"),
    "mirror": Thing(
        panel((4, 3), 0.03, 13), (0.7, 0.03, 0.9), "metal", "glass", wall(1.0, 1.1), "bathroom restroom bedroom gym"
    ),
    "clock": Thing(CLOCK, (0.3, 0.05, 0.3), "dark", "paper", wall(1.6, 1.8), "any"),
    "decoration": Thing(DECORATION, (0.35, 0.08, 0.4), "bright", "yellow", wall(1.2, 1.6), "living bedroom"),
}
