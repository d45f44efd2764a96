"""Which parts of a room's surfaces a hand-held depth camera sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ceco3d.synthetic.allot import OBJECTS
from ceco3d.synthetic.fields import cell_key, dot, length, ripple
from ceco3d.synthetic.layout import Room

SPACING = 0.0185  # metres between samples; a real scan's edges have a median of 2.1 cm
CELL = 0.0185  # samples closer than about this become one vertex, as in a fused scan
BIN = np.deg2rad(2.0)  # angular size of a depth-map pixel
CAMERAS = 6


@dataclass(frozen=True)
class Patches:
    """Small quads of a surface: corners (K, 4, 3), centre and unit normal (K, 3), colour (K, 3), owner (K,)."""

    corners: np.ndarray
    center: np.ndarray
    normal: np.ndarray
    color: np.ndarray
    owner: np.ndarray

    def __len__(self) -> int:
        return len(self.owner)

    def select(self, index: np.ndarray) -> Patches:
        """The patches at ``index``."""
        return Patches(*(getattr(self, name)[index] for name in ("corners", "center", "normal", "color", "owner")))


def sample(room: Room, cameras: np.ndarray, reach: float) -> Patches:
    """Split every quad that faces a camera into patches of at most SPACING; walls only up to ``reach`` metres."""
    quads = np.concatenate([item.shape.quads for item in room.placed]).astype(np.float32)
    color = np.concatenate([item.shape.colors for item in room.placed]).astype(np.float32)
    owner = np.repeat(np.arange(len(room.placed)), [len(item.shape.quads) for item in room.placed])
    a, b, c, d = np.moveaxis(quads, 1, 0)
    normal = np.cross(c - a, d - b)
    facing = np.max([dot(normal, camera - quads.mean(1)) for camera in cameras], axis=0) > 0
    facing &= ~room.named("wall")[owner] | (quads[..., 2].min(1) < reach)
    a, b, c, d, color, owner = (values[facing] for values in (a, b, c, d, color, owner))
    nu = np.ceil(np.maximum(length(b - a), length(c - d)) / SPACING).astype(int).clip(1)
    nv = np.ceil(np.maximum(length(d - a), length(c - b)) / SPACING).astype(int).clip(1)
    count = nu * nv
    quad = np.repeat(np.arange(len(a)), count)
    local = np.arange(len(quad)) - np.repeat(np.cumsum(count) - count, count)
    nu, nv = nu[quad], nv[quad]
    i, j = (local % nu)[:, None].astype(np.float32), (local // nu)[:, None].astype(np.float32)
    # The quad as a + u * right + v * up + u * v * twist.
    right, up, twist = (b - a)[quad], (d - a)[quad], (a - b + c - d)[quad]
    du, dv = (1 / nu)[:, None].astype(np.float32), (1 / nv)[:, None].astype(np.float32)
    corners = np.empty((len(quad), 4, 3), np.float32)
    corners[:, 0] = a[quad] + (i * du) * right + (j * dv) * up + (i * j * du * dv) * twist
    right, up = du * (right + (j * dv) * twist), dv * (up + (i * du) * twist)
    corners[:, 1], corners[:, 3] = corners[:, 0] + right, corners[:, 0] + up
    corners[:, 2] = corners[:, 1] + up + (du * dv) * twist
    normal = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    size = length(normal)
    keep = size > 1e-9
    center = corners[:, 0] + (corners[:, 2] - corners[:, 0]) / 2
    return Patches(corners, center, normal / np.maximum(size, 1e-12)[:, None], color[quad], owner[quad]).select(keep)


def stand(room: Room, rng: np.random.Generator) -> np.ndarray:
    """(CAMERAS, 3) positions at eye height, outside of things and far from each other."""
    half = room.size[:2] / 2 - 0.25
    spots = np.concatenate([rng.uniform(-half, half, (300, 2)), rng.uniform(1.3, 1.75, (300, 1))], axis=1)
    gap = np.maximum(room.boxes[None, :, 0] - spots[:, None], spots[:, None] - room.boxes[None, :, 1])
    room_left = np.maximum(gap, 0).max(-1).min(1, initial=1.0)
    order = np.argsort(-np.minimum(room_left, 0.3), kind="stable")
    spots = spots[order][: max(40, int((room_left > 0.3).sum()))]
    chosen = [0]
    distance = length(spots - spots[0])
    while len(chosen) < CAMERAS:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, length(spots - spots[chosen[-1]]))
    return spots[chosen]


def seen(patches: Patches, cameras: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(K,) bool: facing a camera and not behind anything; rarely seen places have holes.

    Things that are hidden almost entirely are looked at once more without anything in the way.
    """
    views, facing = np.zeros(len(patches)), np.zeros(len(patches), bool)
    rows = int(np.pi / BIN) + 1
    for camera in cameras:
        ray = patches.center - camera
        distance = length(ray)
        cosine = -dot(patches.normal, ray) / distance
        azimuth = np.arctan2(ray[:, 1], ray[:, 0]) + np.pi
        pixel = (azimuth / BIN).astype(int) * rows + (np.arccos(ray[:, 2] / distance) / BIN).astype(int)
        depth = np.full(pixel.max() + 1, np.inf, np.float32)
        np.minimum.at(depth, pixel, distance)
        slack = 0.04 + distance * BIN / np.maximum(cosine, 0.08)
        front = cosine > 0.06
        facing |= front
        views += front & (distance < depth[pixel] + slack) & (distance < 6)
    holes = views + ripple(patches.center, 0.25, rng) + 0.5 * rng.random(len(patches)) > 0.35
    result = (views > 0) & holes
    owners = int(patches.owner.max()) + 1
    total = np.bincount(patches.owner[facing], minlength=owners)
    shown = np.bincount(patches.owner[result], minlength=owners)
    poor = (shown < 25) | (shown < 0.12 * total)
    return result | (poor[patches.owner] & facing)


def covered(patches: Patches) -> np.ndarray:
    """(K,) bool: something lies flat on the patch: an object placed later (a poster on the wall, a mat on the floor) or
    another layer of the same one (a duvet on its mattress)."""
    axis = np.abs(patches.normal).argmax(1)
    along = patches.normal[np.arange(len(axis)), axis]
    side = 2 * axis + (along > 0)
    cell, hidden = 0.03, np.zeros(len(patches), bool)
    keys, inverse = np.unique(cell_key(patches.center, cell) * 6 + side, return_inverse=True)
    last = np.zeros(len(keys), int)
    np.maximum.at(last, inverse, patches.owner)
    # A patch cannot meet its own surface 5.5 cm above it, more than a cell's diagonal; an upright one not at 3.5 cm.
    upright = np.abs(along) > 0.98
    for height, own in ((0.0, False), (0.02, False), (0.045, False), (0.035, upright), (0.055, True)):
        probe = cell_key(patches.center + np.float32(height) * patches.normal, cell) * 6 + side
        at = np.searchsorted(keys, probe).clip(max=len(keys) - 1)
        hidden |= (keys[at] == probe) & ((last[at] > patches.owner) | (own & (last[at] == patches.owner)))
    return hidden


def crop(patches: Patches, room: Room, vertices: int, rng: np.random.Generator) -> np.ndarray:
    """(K,) bool: the part of the room that about ``vertices`` vertices can show.

    Objects go first; where they are too many, the large ones lose what is farthest from the middle of the scan. The
    rest is shared by the floor (around the middle), the walls (upwards from the floor) and the ceiling.
    """
    names = [item.name for item in room.placed]
    group = np.where(room.named("wall"), 1, np.arange(len(names)))[patches.owner]
    count = np.bincount(group, minlength=len(names)).astype(float)
    _, first = np.unique(cell_key(patches.center, CELL) * 512 + group, return_index=True)
    need = np.bincount(group[first], minlength=len(names)).astype(float)
    objects = ~room.named("floor", "wall", "ceiling")
    limit = np.where(objects, _squeeze(need * objects, OBJECTS * vertices), need)
    left = max(vertices - limit[objects].sum(), vertices * (1 - OBJECTS))
    ceiling = room.named("ceiling")
    limit[ceiling] *= min(1.0, 0.08 * left / max(need[ceiling].sum(), 1))
    limit[0] = min(need[0], 0.55 * left)
    limit[1] = left - limit[0] - limit[ceiling].sum()

    middle = rng.uniform(-0.15, 0.15, 2) * room.size[:2]
    distance = np.hypot(*(patches.center[:, :2] - middle.astype(np.float32)).T)
    distance = np.where(group == 1, patches.center[:, 2], distance) + 0.1 * ripple(patches.center, 0.8, rng)
    ranked = np.lexsort((distance, group))
    rank = np.empty(len(group))
    rank[ranked] = np.arange(len(group)) - (np.cumsum(count) - count)[group[ranked]]
    return rank < (limit * count / np.maximum(need, 1))[group]


def _squeeze(need: np.ndarray, total: float) -> np.ndarray:
    """Shares of ``total``: all of it, or, where that is too much, sqrt(need * level) of what is above some level."""
    low, high = 0.0, float(need.max(initial=0))
    share = need
    for _ in range(30 if need.sum() > total else 0):
        level = (low + high) / 2
        share = np.minimum(need, np.sqrt(need * level))
        low, high = (level, high) if share.sum() < total else (low, level)
    return share
