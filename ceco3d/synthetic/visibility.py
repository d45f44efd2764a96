"""Which parts of a room's surfaces a hand-held depth camera sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ceco3d.synthetic.allocation import OBJECT_SHARE
from ceco3d.synthetic.layout import Room
from ceco3d.synthetic.style import Look
from ceco3d.synthetic.vectors import cell_key, dot, length, smooth_noise

PIXEL = np.deg2rad(2.0)  # angular size of a pixel of the depth buffer


@dataclass(frozen=True)
class SurfacePatches:
    """Small quads of surface: corners (K, 4, 3), center, unit normal and color (K, 3), index of the object (K,)."""

    corners: np.ndarray
    center: np.ndarray
    normal: np.ndarray
    color: np.ndarray
    instance: np.ndarray

    def __len__(self) -> int:
        return len(self.instance)

    def select(self, index: np.ndarray) -> SurfacePatches:
        """The patches at ``index``: positions or a mask."""
        return SurfacePatches(
            *(getattr(self, name)[index] for name in ("corners", "center", "normal", "color", "instance"))
        )


def sample_surfaces(room: Room, cameras: np.ndarray, reach: float, spacing: float) -> SurfacePatches:
    """Split every quad that faces a camera into patches of at most ``spacing``; walls only up to ``reach`` meters."""
    quads = np.concatenate([item.shape.quads for item in room.objects]).astype(np.float32)
    color = np.concatenate([item.shape.colors for item in room.objects]).astype(np.float32)
    instance = np.repeat(np.arange(len(room.objects)), [len(item.shape.quads) for item in room.objects])
    a, b, c, d = np.moveaxis(quads, 1, 0)
    normal = np.cross(c - a, d - b)
    facing = np.max([dot(normal, camera - quads.mean(1)) for camera in cameras], axis=0) > 0
    facing &= ~room.is_class("wall")[instance] | (quads[..., 2].min(1) < reach)
    a, b, c, d, color, instance = (values[facing] for values in (a, b, c, d, color, instance))
    nu = np.ceil(np.maximum(length(b - a), length(c - d)) / spacing).astype(int).clip(1)
    nv = np.ceil(np.maximum(length(d - a), length(c - b)) / spacing).astype(int).clip(1)
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
    normal = normal / np.maximum(size, 1e-12)[:, None]
    return SurfacePatches(corners, center, normal, color[quad], instance[quad]).select(keep)


def place_cameras(room: Room, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) positions at eye height, outside objects and far from each other."""
    half = room.size[:2] / 2 - 0.25
    spots = np.concatenate([rng.uniform(-half, half, (300, 2)), rng.uniform(1.3, 1.75, (300, 1))], axis=1)
    gap = np.maximum(room.boxes[None, :, 0] - spots[:, None], spots[:, None] - room.boxes[None, :, 1])
    room_left = np.maximum(gap, 0).max(-1).min(1, initial=1.0)
    order = np.argsort(-np.minimum(room_left, 0.3), kind="stable")
    spots = spots[order][: max(40, int((room_left > 0.3).sum()))]
    chosen = [0]
    distance = length(spots - spots[0])
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, length(spots - spots[chosen[-1]]))
    return spots[chosen]


def visible(patches: SurfacePatches, cameras: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(K,) bool: facing a camera and not occluded, by a depth buffer per camera; rarely seen surfaces have holes.

    Objects that are almost entirely hidden count as seen from every camera they face.
    """
    views, facing = np.zeros(len(patches)), np.zeros(len(patches), bool)
    rows = int(np.pi / PIXEL) + 1
    for camera in cameras:
        ray = patches.center - camera
        distance = length(ray)
        cosine = -dot(patches.normal, ray) / distance
        azimuth = np.arctan2(ray[:, 1], ray[:, 0]) + np.pi
        pixel = (azimuth / PIXEL).astype(int) * rows + (np.arccos(ray[:, 2] / distance) / PIXEL).astype(int)
        depth = np.full(pixel.max() + 1, np.inf, np.float32)
        np.minimum.at(depth, pixel, distance)
        slack = 0.04 + distance * PIXEL / np.maximum(cosine, 0.08)
        front = cosine > 0.06
        facing |= front
        views += front & (distance < depth[pixel] + slack) & (distance < 6)
    holes = views + smooth_noise(patches.center, 0.25, rng) + 0.5 * rng.random(len(patches)) > 0.35
    result = (views > 0) & holes
    count = int(patches.instance.max()) + 1
    total = np.bincount(patches.instance[facing], minlength=count)
    visible_patches = np.bincount(patches.instance[result], minlength=count)
    poor = (visible_patches < 25) | (visible_patches < 0.12 * total)
    shown: np.ndarray = result | (poor[patches.instance] & facing)
    return shown


def in_view(patches: SurfacePatches, camera: np.ndarray, aim: np.ndarray, angle: float) -> np.ndarray:
    """(K,) bool: within ``angle`` radians of the line from the camera to ``aim``, and at most 4.5 m away."""
    ray, axis = patches.center - camera, (aim - camera) / max(float(length(aim - camera)), 1e-6)
    distance = length(ray)
    seen: np.ndarray = (dot(ray, axis.astype(np.float32)) > np.cos(angle) * distance) & (distance < 4.5)
    return seen


def in_part(patches: SurfacePatches, room: Room, look: Look, rng: np.random.Generator) -> np.ndarray:
    """(K,) bool: below the height and on the side of the room where the scan ends, by a ragged edge."""
    ragged = 0.06 * smooth_noise(patches.center, 0.5, rng)
    kept = np.ones(len(patches), bool)
    if look.cut is not None:
        kept &= patches.center[:, 2] + ragged < look.cut
    if look.part < 1:
        turn = rng.uniform(0, 2 * np.pi)
        side = patches.center[:, 0] * np.cos(turn) + patches.center[:, 1] * np.sin(turn)
        reach = np.abs(room.size[:2] / 2 * (np.cos(turn), np.sin(turn))).sum()
        kept &= side + 2 * ragged < (2 * look.part - 1) * reach
    return kept


def hidden_by_layers(patches: SurfacePatches) -> np.ndarray:
    """(K,) bool: another surface lies flat on the patch: an object placed later (a poster on the wall, a mat on the
    floor) or another layer of the same object (a duvet on its mattress)."""
    axis = np.abs(patches.normal).argmax(1)
    along = patches.normal[np.arange(len(axis)), axis]
    side = 2 * axis + (along > 0)
    cell, hidden = 0.03, np.zeros(len(patches), bool)
    keys, inverse = np.unique(cell_key(patches.center, cell) * 6 + side, return_inverse=True)
    last = np.zeros(len(keys), int)
    np.maximum.at(last, inverse, patches.instance)
    # A patch cannot meet its own surface 5.5 cm above it, more than a cell's diagonal; an upright one not at 3.5 cm.
    upright = np.abs(along) > 0.98
    for height, own in ((0.0, False), (0.02, False), (0.045, False), (0.035, upright), (0.055, True)):
        probe = cell_key(patches.center + np.float32(height) * patches.normal, cell) * 6 + side
        at = np.searchsorted(keys, probe).clip(max=len(keys) - 1)
        hidden |= (keys[at] == probe) & ((last[at] > patches.instance) | (own & (last[at] == patches.instance)))
    return hidden


def within_budget(
    patches: SurfacePatches, room: Room, vertices: int, spacing: float, rng: np.random.Generator
) -> np.ndarray:
    """(K,) bool: the patches that a scan of about ``vertices`` vertices keeps.

    Objects come first; if they need too much, the large ones lose what is farthest from the middle of the scan. Floor
    (around the middle), walls (from the floor up) and ceiling share the rest.
    """
    names = [item.name for item in room.objects]
    group = np.where(room.is_class("wall"), 1, np.arange(len(names)))[patches.instance]
    count = np.bincount(group, minlength=len(names)).astype(float)
    _, first = np.unique(cell_key(patches.center, spacing) * 512 + group, return_index=True)
    need = np.bincount(group[first], minlength=len(names)).astype(float)
    objects = ~room.is_class("floor", "wall", "ceiling")
    limit = np.where(objects, _squeeze(need * objects, OBJECT_SHARE * vertices), need)
    left = max(vertices - limit[objects].sum(), vertices * (1 - OBJECT_SHARE))
    ceiling = room.is_class("ceiling")
    limit[ceiling] *= min(1.0, 0.08 * left / max(need[ceiling].sum(), 1))
    limit[0] = min(need[0], 0.55 * left)
    limit[1] = left - limit[0] - limit[ceiling].sum()

    middle = rng.uniform(-0.15, 0.15, 2) * room.size[:2]
    distance = np.hypot(*(patches.center[:, :2] - middle.astype(np.float32)).T)
    distance = np.where(group == 1, patches.center[:, 2], distance) + 0.1 * smooth_noise(patches.center, 0.8, rng)
    ranked = np.lexsort((distance, group))
    rank = np.empty(len(group))
    rank[ranked] = np.arange(len(group)) - (np.cumsum(count) - count)[group[ranked]]
    kept: np.ndarray = rank < (limit * count / np.maximum(need, 1))[group]
    return kept


def _squeeze(need: np.ndarray, total: float) -> np.ndarray:
    """What each object gets of ``total``: its need, or sqrt(need * level) above a common level if that is too much."""
    low, high = 0.0, float(need.max(initial=0))
    share = need
    for _ in range(30 if need.sum() > total else 0):
        level = (low + high) / 2
        share = np.minimum(need, np.sqrt(need * level))
        low, high = (level, high) if share.sum() < total else (low, level)
    return share
