"""Folders of labeled scans: every way to store points and labels gives the same scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ceco3d.data.labels import IGNORE, label_space
from ceco3d.data.scenes.processed import list_scenes, read_scene
from tests.helpers.commands import settings_of
from tests.helpers.labeled_scans import IDS, NAMES, WAYS, made_up, write_las, write_ply, write_scans


def made(folder: Path, *arguments: str):
    """The data set, and its scenes by name after preprocessing."""
    given = [f"dataset.raw={folder / 'raw'}", f"dataset.root={folder / 'done'}", "dataset.name=mine", *arguments]
    dataset = settings_of("preprocess", "dataset=folder", *given).dataset
    summary = dataset.preprocess(None, 1)
    assert summary.failed == ()
    folders = [scene for split in ("train", "val") for scene in list_scenes(dataset.root, split)]
    space = dataset.space()
    return dataset, {path.name: read_scene(path, space) for path in folders}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_store_labels_gives_the_same_scenes(tmp_path, way):
    count = 12 if way in ("PLY", "LAZ", "NPY, .labels.npy") else 3
    scans = write_scans(tmp_path / "raw", way, count)
    dataset, scenes = made(tmp_path)
    assert (dataset.space().ids, dataset.space().names) == (IDS, NAMES)
    assert sorted(scenes) == [f"room{number:02}" for number in range(count)]
    assert len(list_scenes(dataset.root, "val")) == -(-count // 5)
    for number, scan in enumerate(scans):
        scene = scenes[f"room{number:02}"]
        np.testing.assert_allclose(scene.coord, scan.coord - scan.coord.min(0), atol=1e-5)
        assert (scene.color.byte().numpy() == scan.color).all()
        assert scene.segment.tolist() == np.searchsorted(IDS, scan.label).tolist()
        has_instances = "folder" in way or "KITTI" in way
        expected = scan.instance - (scan.instance.min() if "folder" in way else 1) if has_instances else None
        if expected is None:
            assert (scene.instance == IGNORE).all()
        else:
            pairs = {(a, b) for a, b in zip(expected.tolist(), scene.instance.tolist(), strict=True) if a >= 0}
            assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@pytest.mark.parametrize(
    ("arguments", "write"),
    [
        (["dataset.labels=Truth"], lambda path, scan: write_ply(path, scan, label=scan.label * 0, truth=scan.label)),
        (["dataset.labels=.gt.txt"], None),
        (["dataset.columns=[x,y,z,_,_,_,label]"], None),
    ],
    ids=["column", "ending", "columns"],
)
def test_labels_are_found_where_the_settings_say(tmp_path, arguments, write):
    raw = tmp_path / "raw"
    scans = write_scans(raw, count=0) or [made_up(number) for number in range(3)]
    for number, scan in enumerate(scans):
        if write is not None:
            write(raw / f"room{number}.ply", scan)
        elif "gt" in arguments[0]:
            np.save(raw / f"room{number}.npy", scan.coord)
            (raw / f"room{number}.txt").write_text("not the labels")
            (raw / f"room{number}.gt.txt").write_text("".join(f"{label}\n" for label in scan.label))
            (raw / f"room{number}.txt").unlink()
        else:
            np.savetxt(raw / f"room{number}.xyz", np.concatenate([scan.coord, scan.color, scan.label[:, None]], 1))
    _, scenes = made(tmp_path, *arguments)
    assert [scenes[f"room{n}"].segment.tolist() for n in range(3)] == [
        np.searchsorted(IDS, scan.label).tolist() for scan in scans
    ]


def test_arrays_of_a_folder_are_found_by_name(tmp_path, preprocess):
    scans = write_scans(tmp_path / "raw", "folder, segment.npy", 3)
    for number, scan in enumerate(scans):
        folder = tmp_path / f"raw/room{number:02}"
        np.save(folder / "segment20.npy", np.stack([scan.label[::-1], scan.label], 1))
        np.save(folder / "object.npy", scan.instance * 0)
    _, scenes = made(tmp_path, "dataset.labels=segment20", "dataset.instances=object")
    for number, scan in enumerate(scans):
        assert scenes[f"room{number:02}"].segment.tolist() == np.searchsorted(IDS, scan.label[::-1]).tolist()
        assert (scenes[f"room{number:02}"].instance == 0).all()
    outcome = preprocess("dataset.labels=gt")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "raw/room00: has no gt.npy (dataset.labels=gt)" in outcome.err


def test_text_files_of_labels_beside_tables_are_no_scans_if_their_ending_is_given(tmp_path):
    raw = tmp_path / "raw"
    write_scans(raw, count=0)
    for number in range(3):
        scan = made_up(number)
        np.save(raw / f"room{number}.npy", scan.coord)
        (raw / f"room{number}.txt").write_text("".join(f"{label}\n" for label in scan.label))
    _, scenes = made(tmp_path, "dataset.labels=.txt")
    assert sorted(scenes) == ["room0", "room1", "room2"]


def test_unit_axes_instances_and_points_without_a_class(tmp_path):
    raw = tmp_path / "raw"
    write_scans(raw, count=0)
    (raw / "classes.csv").write_text("id,name,group,alias\n2,ground,,5|6\n9,water,,\n17,rest,,40\n200,,ignored,\n")
    for number in range(3):
        scan = made_up(number)
        turned = (scan.coord[:, [0, 2, 1]] * (1, 1, -1) * 1000 + 5e6).round()  # mm, y up, far from the origin
        moved = type(scan)(turned, scan.color, scan.label, scan.instance)
        write_ply(raw / f"room{number}.ply", moved, label=scan.label.astype("f4"), Object_ID=scan.instance * 5 - 5)
    _, scenes = made(tmp_path, "dataset.unit=mm", "dataset.up=y", "dataset.instances=object_id")
    for number in range(3):
        scan, scene = made_up(number), scenes[f"room{number}"]
        np.testing.assert_allclose(scene.coord - scene.coord.min(0).values, scan.coord - scan.coord.min(0), atol=2e-3)
        expected = {2: 0, 5: 0, 6: 0, 9: 1, 17: 2, 40: 2, 200: IGNORE}
        assert scene.segment.tolist() == [expected[label] for label in scan.label.tolist()]
        assert (scene.instance.numpy() == scan.instance - 1).all()


def test_unusable_points_are_left_out_with_their_labels(tmp_path, capsys):
    raw = tmp_path / "raw"
    scans = write_scans(raw, count=3)
    broken = scans[0].coord.copy()
    broken[[3, 50]] = np.nan
    write_ply(raw / "room00.ply", type(scans[0])(broken, scans[0].color, scans[0].label, scans[0].instance))
    _, scenes = made(tmp_path)
    kept = np.delete(scans[0].label, [3, 50])
    assert scenes["room00"].segment.tolist() == np.searchsorted(IDS, kept).tolist()
    assert "2 not usable (NaN" in capsys.readouterr().out.replace("\n", " ")


def test_classes_of_las_files_have_their_standard_names(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(3):
        scan = made_up(number)
        label = np.where(scan.label == 200, 1, scan.label)
        write_las(raw / f"tile{number}.laz", type(scan)(scan.coord, scan.color, label, scan.instance))
    dataset, scenes = made(tmp_path)
    space = dataset.space()
    names = {2: "ground", 5: "high vegetation", 6: "building", 9: "water", 17: "bridge deck", 40: "class 40"}
    assert dict(zip(space.ids, space.names, strict=True)) == names
    assert space.ignored == (0, 1)
    assert (scenes["tile0"].segment == IGNORE).sum() == (made_up(0).label == 200).sum()


def test_names_are_classes_whatever_their_case(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(3):
        scan = made_up(number)
        write_ply(raw / f"room{number}.ply", scan, quality=np.float32(0))
        names = [NAMES[IDS.index(label)] for label in scan.label.tolist()]
        names = [[name, name.upper(), f"  {name.title()}  "][k % 3] for k, name in enumerate(names)]
        names[:5] = ["", "", "", "", "-1"]
        (raw / f"room{number}.labels").write_text("\n".join(names) + "\n")
    dataset, scenes = made(tmp_path)
    assert [name.lower() for name in dataset.space().names] == sorted(NAMES)
    assert (scenes["room0"].segment[:5] == IGNORE).all()
    assert (scenes["room0"].segment[5:] >= 0).all()
    again, _ = made(tmp_path)  # from the file that was written
    assert again.space().to_plain() == dataset.space().to_plain()


def test_a_data_set_of_the_package_keeps_its_own_classes(tiny):
    assert settings_of("preprocess", *tiny).dataset.space() is label_space("scannet200")
