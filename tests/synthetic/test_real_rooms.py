"""Rooms in the ``real`` style: seeded, in the same layout, with the variety that real scans have."""

from dataclasses import replace

import numpy as np
import pytest
from plyfile import PlyData

from ceco3d.synthetic import example_scan, generate_rooms
from ceco3d.synthetic.allocation import ScenePlan
from ceco3d.synthetic.catalog.real import REAL_CATALOG
from ceco3d.synthetic.layout import furnish_room
from ceco3d.synthetic.scanner import scan_room
from ceco3d.synthetic.style import PLAIN, PLAIN_LOOK, REAL, draw_look
from ceco3d.synthetic.visibility import in_view, sample_surfaces
from ceco3d.utils.errors import UserError

NAMES = ["door", "table", "chair", "chair", "desk", "office chair", "couch", "cabinet", "window", "whiteboard"]
SIZES = {"train": 2, "val": 1, "test": 1, "vertices": 8000}


def room(style=REAL, seed=0):
    return furnish_room(NAMES, 12.0, np.random.default_rng(seed), style)


def scan(look, seed=0):
    return scan_room(room(), 20000, 0.3, np.random.default_rng([seed, 1]), look)


@pytest.fixture
def few_objects(monkeypatch):
    plan = ScenePlan("office", NAMES)
    monkeypatch.setattr("ceco3d.synthetic.generate.allocate", lambda scenes, *_, **__: [plan] * scenes)


def meshes(raw):
    return {path.name: path.read_bytes() for path in sorted(raw.glob("scans*/*/*_vh_clean_2.ply"))}


@pytest.mark.usefixtures("few_objects")
def test_the_same_seed_gives_the_same_scans_and_another_style_others(tmp_path):
    for name, workers, style in (("one", 1, "real"), ("two", 2, "real"), ("plain", 1, "plain")):
        generate_rooms(tmp_path / name, **SIZES, seed=3, workers=workers, style=style)
    assert meshes(tmp_path / "one") == meshes(tmp_path / "two")
    assert meshes(tmp_path / "one").keys() == meshes(tmp_path / "plain").keys()
    assert not set(meshes(tmp_path / "one").values()) & set(meshes(tmp_path / "plain").values())
    path = next(iter(sorted((tmp_path / "one").glob("scans/*/*_vh_clean_2.ply"))))
    vertex = PlyData.read(path, known_list_len={"face": {"vertex_indices": 3}})["vertex"]
    assert {p.name for p in vertex.properties} == {"x", "y", "z", "red", "green", "blue", "alpha"}


def test_an_unknown_style_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"dataset.style=nice: choose one of plain, coarse, real"):
        generate_rooms(tmp_path / "raw", **SIZES, seed=0, workers=1, style="nice")


def test_looks_cover_whole_rooms_parts_of_rooms_and_single_views():
    looks = [draw_look(np.random.default_rng(seed)) for seed in range(300)]
    kinds = {
        "single view": sum(look.view is not None for look in looks),
        "below a height": sum(look.cut is not None for look in looks),
        "a part": sum(look.part < 1 for look in looks),
        "whole": sum(look.cut is None and look.part == 1 and look.view is None for look in looks),
    }
    assert min(kinds.values()) > 25, kinds
    assert len({look.spacing for look in looks}) == len(looks)
    assert {PLAIN.look(np.random.default_rng(seed)) for seed in range(5)} == {PLAIN_LOOK}


@pytest.mark.parametrize("cut", [0.9, 1.4])
def test_a_scan_ends_at_its_height(cut):
    top = scan(replace(PLAIN_LOOK, cut=cut)).coord[:, 2].max()
    assert cut - 0.15 < top < cut + 0.3


def test_a_part_of_a_room_covers_less_of_its_plan():
    cells = [len(np.unique(scan(replace(PLAIN_LOOK, part=part)).coord[:, :2] // 0.3, axis=0)) for part in (1.0, 0.5)]
    assert 0.2 < cells[1] / cells[0] < 0.8


def test_a_single_view_sees_one_cone():
    camera, aim, angle = np.array([0.5, -0.2, 1.5], np.float32), np.array([2.0, 1.0, 0.5]), np.deg2rad(30)
    patches = sample_surfaces(room(), camera[None], reach=3.0, spacing=0.05)
    seen = in_view(patches, camera, aim, angle)
    ray = patches.center - camera
    cosine = (ray @ (aim - camera)) / np.linalg.norm(ray, axis=1) / np.linalg.norm(aim - camera)
    assert np.array_equal(seen, (cosine > np.cos(angle)) & (np.linalg.norm(ray, axis=1) < 4.5))
    assert 0.01 < seen.mean() < 0.9
    single = scan(replace(PLAIN_LOOK, cameras=1, view=angle))
    assert 200 < len(single.coord) < len(scan(PLAIN_LOOK).coord)


@pytest.mark.parametrize(
    ("change", "of"), [({"noise": 4.0}, "coord"), ({"gamma": 1.5}, "color"), ({"texture": 25}, "color")]
)
def test_a_look_changes_what_it_names(change, of):
    plain, changed = scan(PLAIN_LOOK), scan(replace(PLAIN_LOOK, **change))
    for name in ("coord", "color"):
        assert np.array_equal(getattr(plain, name), getattr(changed, name)) == (name != of)


def test_spacing_thins_the_mesh():
    dense, thin = (scan(replace(PLAIN_LOOK, spacing=spacing)) for spacing in (0.0185, 0.037))
    edges = [np.median(np.linalg.norm(np.diff(m.coord[m.faces[:, :2]], axis=1), axis=-1)) for m in (dense, thin)]
    assert 1.7 < edges[1] / edges[0] < 2.3


def test_a_class_has_many_forms():
    rng = np.random.default_rng(0)
    counts = {len(REAL_CATALOG["chair"].build(rng).quads) for _ in range(60)}
    assert len(counts) > 8


def test_an_example_is_one_furnished_room():
    points, colors = example_scan(seed=1, vertices=20000)
    assert points.shape == colors.shape
    assert 12000 < len(points) < 28000
    assert (np.ptp(points, axis=0) > (1.5, 1.5, 0.8)).all()
    assert (np.ptp(points, axis=0) < 12).all()
    again, other = example_scan(seed=1, vertices=20000), example_scan(seed=2, vertices=20000)
    assert np.array_equal(points, again[0])
    assert not np.array_equal(points, other[0])
