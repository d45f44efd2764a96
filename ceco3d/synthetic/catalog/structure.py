"""Catalog: built-in parts: doors, windows, wall and ceiling fixtures. The room builds walls, floor and ceiling."""

from ceco3d.synthetic.catalog.object_class import AGAINST_WALL, ON_CEILING, ON_FLOOR, ObjectClass, attached_to, on_wall
from ceco3d.synthetic.shapes.assembly import assemble
from ceco3d.synthetic.shapes.bodies import bent_tubes, plain_box, stairs
from ceco3d.synthetic.shapes.panels import hanging_cloth, panel, slats, wall_opening

CLOSET_DOOR = assemble("box .5 .5 1 @ -.25 -.25 0; box .5 .5 1 @ .25 .25 0; box .02 .8 .1 @ -.05 -.3 .45 metal")
SHOWER_FLOOR = assemble(
    "box 1 1 .6; box 1 .06 1 @ 0 -.47 0; box 1 .06 1 @ 0 .47 0; box .06 1 1 @ -.47 0 0; box .06 1 1 @ .47 0 0"
)
CLOSET_ROD = bent_tubes(((-0.5, 0.5, 0.5), (-0.5, -0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, 0.5)), r=0.016)
HANDICAP_BAR = bent_tubes(((-0.5, 0.5, 0.5), (-0.5, -0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, 0.5)), r=0.018)
SHOWER = assemble("box .1 .3 1 @ 0 .3 0 metal; can 1 .9 .05 @ 0 -.1 .93 metal; box .6 .4 .12 @ 0 .1 .3 metal")
SHOWER_HEAD = assemble("box .25 1 .25 @ 0 0 .75; can 1 .6 .4 @ 0 -.3 .3")
PROJECTOR = assemble("box 1 1 .4; disc .25 .3 .3 @ .25 -.5 .05 dark; box .1 .1 .6 @ 0 0 .4 metal")
FIRE_ALARM = assemble("box 1 .6 1 @ 0 .2 0; box .5 .5 .3 @ 0 -.2 .3 white")
LIGHT_SWITCH = assemble("box 1 .6 1 @ 0 .2 0; box .3 .6 .4 @ 0 -.2 .3 accent")
POWER_OUTLET = assemble("box 1 .6 1 @ 0 .2 0; box .4 .3 .2 @ 0 -.2 .2 dark; box .4 .3 .2 @ 0 -.2 .6 dark")
PICTURE = panel((3, 4), spread=35)
CLOCK = assemble("disc 1 .6 1 @ 0 .2 0; disc .85 .4 .85 @ 0 -.3 .07 accent; box .05 .2 .35 @ 0 -.55 .45 dark")
DECORATION = assemble("disc 1 .4 1 @ 0 .2 0; ball .5 .8 .5 @ 0 -.1 .25 accent")

STRUCTURE = {
    "door": ObjectClass(wall_opening(leaf=0.04, knob=True), (0.85, 0.08, 2.0), "wood", "wood", on_wall(0), "any", 0.06),
    "doorframe": ObjectClass(
        wall_opening(), (1.0, 0.14, 2.1), "white", "white", attached_to("door, closet door"), "any", 0.06
    ),
    "closet door": ObjectClass(
        CLOSET_DOOR, (1.3, 0.1, 2.0), "white", "white", on_wall(0), "bedroom closet hallway", 0.08
    ),
    "bathroom stall door": ObjectClass(panel(), (0.62, 0.04, 1.5), "beige", "beige", ON_FLOOR, "restroom"),
    "shower door": ObjectClass(panel(frame=0.03), (0.75, 0.04, 1.8), "metal", "glass", ON_FLOOR, "bathroom"),
    "window": ObjectClass(wall_opening(muntins=(2, 2)), (1.0, 0.1, 1.1), "glass", "white", on_wall(0.9), "any", 0.2),
    "windowsill": ObjectClass(
        plain_box(top=True), (1.1, 0.2, 0.05), "white", "white", attached_to("window", "below"), "any"
    ),
    "closet wall": ObjectClass(plain_box(), (1.2, 0.08, 2.2), "wallpaint", "white", on_wall(0), "closet bedroom"),
    "shower wall": ObjectClass(panel((6, 4), 0.0, 6), (0.9, 0.04, 2.0), "white", "white", on_wall(0), "bathroom"),
    "shower floor": ObjectClass(SHOWER_FLOOR, (0.9, 0.8, 0.1), "white", "white", AGAINST_WALL, "bathroom"),
    "column": ObjectClass(
        assemble("can 1 1 1"), (0.36, 0.36, 2.2), "wallpaint", "white", ON_FLOOR, "lobby lab hallway"
    ),
    "pillar": ObjectClass(plain_box(), (0.4, 0.4, 2.2), "wallpaint", "white", AGAINST_WALL, "lobby lab gym"),
    "ledge": ObjectClass(
        plain_box(top=True), (1.2, 0.22, 0.5), "wallpaint", "white", AGAINST_WALL, "hallway bathroom lobby"
    ),
    "stairs": ObjectClass(stairs(5), (0.95, 1.1, 0.85), "wood", "wood", AGAINST_WALL, "hallway lobby"),
    "curtain": ObjectClass(hanging_cloth(6), (0.8, 0.1, 1.6), "towel", "fabric", on_wall(0.35, 0.6), "bedroom living"),
    "shower curtain": ObjectClass(
        hanging_cloth(7, 0.05), (0.95, 0.1, 1.6), "white", "towel", on_wall(0.2, 0.3), "bathroom"
    ),
    "blinds": ObjectClass(
        slats(18),
        (0.95, 0.04, 1.1),
        "white",
        "white",
        attached_to("window", "in_front"),
        "office conference lab living",
    ),
    "shower curtain rod": ObjectClass(
        bent_tubes(((-0.5, 0, 0.5), (0.5, 0, 0.5)), r=0.018),
        (1.2, 0.04, 0.04),
        "metal",
        "metal",
        on_wall(1.9),
        "bathroom",
    ),
    "closet rod": ObjectClass(CLOSET_ROD, (0.9, 0.25, 0.04), "wood", "metal", on_wall(1.6), "closet"),
    "handicap bar": ObjectClass(HANDICAP_BAR, (0.8, 0.08, 0.04), "metal", "metal", on_wall(0.8), "restroom bathroom"),
    "shower": ObjectClass(SHOWER, (0.24, 0.24, 1.1), "white", "metal", on_wall(0.9), "bathroom"),
    "shower head": ObjectClass(SHOWER_HEAD, (0.16, 0.26, 0.14), "metal", "metal", on_wall(1.8), "bathroom"),
    "ceiling light": ObjectClass(
        assemble("can 1 1 .6 @ 0 0 .4 white; ball .8 .8 .8"), (0.38, 0.38, 0.14), "yellow", "white", ON_CEILING, "any"
    ),
    "light": ObjectClass(
        panel(frame=0.02), (1.1, 0.06, 0.16), "white", "paper", on_wall(1.9), "bathroom restroom office gym"
    ),
    "projector": ObjectClass(PROJECTOR, (0.36, 0.32, 0.3), "white", "dark", ON_CEILING, "conference lab"),
    "vent": ObjectClass(slats(7), (0.42, 0.04, 0.3), "metal", "dark", on_wall(1.7, 1.9), "any"),
    "pipe": ObjectClass(
        bent_tubes(((0, 0, 0), (0, 0, 1)), r=0.045),
        (0.1, 0.12, 1.9),
        "metal",
        "metal",
        AGAINST_WALL,
        "storage laundry bathroom",
    ),
    "fire alarm": ObjectClass(FIRE_ALARM, (0.14, 0.06, 0.18), "red", "white", on_wall(1.4, 1.7), "any"),
    "light switch": ObjectClass(LIGHT_SWITCH, (0.12, 0.02, 0.14), "white", "gray", on_wall(1.1, 1.25), "any"),
    "power outlet": ObjectClass(POWER_OUTLET, (0.12, 0.02, 0.15), "white", "dark", on_wall(0.25, 0.4), "any"),
    # Flat objects on walls
    "picture": ObjectClass(
        PICTURE, (0.55, 0.03, 0.45), "wood", "bright", on_wall(1.2, 1.5), "living bedroom lobby hallway", 0.3
    ),
    "poster": ObjectClass(
        panel((5, 3), 0.0, 55), (0.5, 0.008, 0.7), "paper", "bright", on_wall(1.0, 1.4), "lab bedroom hallway"
    ),
    "calendar": ObjectClass(
        panel((6, 5), 0.015, 18), (0.3, 0.01, 0.42), "paper", "paper", on_wall(1.3, 1.5), "kitchen office"
    ),
    "sign": ObjectClass(
        panel((1, 3), 0.015, 30), (0.34, 0.015, 0.22), "bright", "paper", on_wall(1.5, 1.7), "hallway lobby restroom"
    ),
    "whiteboard": ObjectClass(
        panel((4, 6), 0.03, 4), (1.4, 0.04, 0.95), "metal", "white", on_wall(0.95), "conference office lab"
    ),
    "blackboard": ObjectClass(panel((3, 6), 0.04, 8), (1.6, 0.05, 0.95), "wood", "dark", on_wall(0.95), "lab"),
    "bulletin board": ObjectClass(
        panel((4, 6), 0.03, 28), (1.0, 0.03, 0.8), "wood", "cardboard", on_wall(1.1), "hallway lab copyroom"
    ),
    "board": ObjectClass(
        panel((1, 2), 0.0, 5), (0.9, 0.02, 0.8), "beige", "beige", on_wall(0.9, 1.2), "lab office storage"
    ),
    "projector screen": ObjectClass(
        panel((1, 1), 0.05), (1.5, 0.05, 1.2), "dark", "white", on_wall(0.9), "conference lab"
    ),
    "mirror": ObjectClass(
        panel((4, 3), 0.03, 13), (0.7, 0.03, 0.9), "metal", "glass", on_wall(1.0, 1.1), "bathroom restroom bedroom gym"
    ),
    "clock": ObjectClass(CLOCK, (0.3, 0.05, 0.3), "dark", "paper", on_wall(1.6, 1.8), "any"),
    "decoration": ObjectClass(DECORATION, (0.35, 0.08, 0.4), "bright", "yellow", on_wall(1.2, 1.6), "living bedroom"),
}
