"""ScanNet++: segments, groups, the mapping of labels to the benchmark's classes."""

import json

import numpy as np
import pytest

from ceco3d.data.scenes.processed import read_scene
from ceco3d.preprocessing.layouts.scannetpp import ScanNetPP, ScanNetPPLayout, class_index, label_vertices
from ceco3d.utils.errors import UserError
from tests.helpers.public_scans import scannetpp


def test_scenes_are_those_of_the_lists(tmp_path):
    scans = ScanNetPPLayout(scannetpp(tmp_path)).scans()
    assert [(scan.name, scan.split) for scan in scans] == [
        ("036bce3393", "train"),
        ("7b6477cb95", "val"),
        ("ca0e09014e", "test"),
    ]


def test_vertices_get_the_class_and_the_object_of_their_group(tmp_path):
    layout = ScanNetPPLayout(scannetpp(tmp_path))
    points = layout.read(layout.scans()[0])
    assert points.labels[[0, 35, 45, 99, 100]].tolist() == [0, 2, 2, 0, -1]
    assert points.instance[[0, 35, 45, 99, 100]].tolist() == [11, 12, 12, 11, -1]
    assert points.scan.triangles() is not None


def test_test_scenes_have_no_labels(tmp_path):
    layout = ScanNetPPLayout(scannetpp(tmp_path))
    assert layout.read(layout.scans()[2]).labels is None


def group(label, number, *segments):
    return {"label": label, "objectId": number, "segments": np.array(segments)}


@pytest.mark.parametrize(
    ("groups", "objects"),
    [
        ([group("a", 1, 0, 1, 2), group("b", 2, 1)], [1, 2, 1, -1]),  # the smallest decides
        ([group("b", 2, 1), group("a", 1, 0, 1, 2)], [1, 2, 1, -1]),  # in any order
        ([group("a", 1, 0, 1), group("b", 2, 1, 2)], [1, 1, 2, -1]),  # the first of equally small ones
        ([group("c", 3, 0, 1, 2, 3), group("a", 1, 0)], [1, -1, -1, -1]),  # groups without a class do not count
        # Three groups of a vertex count; the smaller fourth does not.
        ([group("a", k, 0, 1, 2) for k in (1, 2, 3)] + [group("b", 4, 0)], [1, 1, 1, -1]),
        ([group("a", 1, 7)], [-1, -1, -1, -1]),  # a segment without vertices
    ],
)
def test_of_several_groups_the_smallest_decides(groups, objects):
    labels, instance = label_vertices(np.array([0, 1, 2, 3]), groups, {"a": 5, "b": 6})
    assert instance.tolist() == objects
    assert [label >= 0 for label in labels] == [number >= 0 for number in objects]


def test_labels_are_mapped_as_the_table_says(tmp_path):
    scannetpp(tmp_path)
    index = class_index(["wall", "ceiling", "table"], tmp_path / "metadata/semantic_benchmark/map_benchmark.csv")
    assert index == {"wall": 0, "office desk": 2}


def test_processed_scenes_hold_classes_in_the_order_of_the_list(tmp_path):
    dataset = ScanNetPP("scannetpp", scannetpp(tmp_path / "raw"), tmp_path / "root")
    assert dataset.preprocess(None, 1).done == 3
    space = dataset.space()
    assert (space.ids, space.names) == ((0, 1, 2), ("wall", "ceiling", "table"))
    scene = read_scene(tmp_path / "root" / "train" / "036bce3393", space)
    assert scene.segment[[0, 35, 100]].tolist() == [0, 2, -1]
    assert len(scene.instance.unique()) == 3


def test_another_mapping_makes_the_scenes_anew(tmp_path):
    raw = scannetpp(tmp_path / "raw")
    dataset = ScanNetPP("scannetpp", raw, tmp_path / "root")
    dataset.preprocess(None, 1)
    table = raw / "metadata/semantic_benchmark/map_benchmark.csv"
    table.write_text(table.read_text().replace("table,table", "ceiling,ceiling"))
    summary = dataset.preprocess(None, 1)
    assert (summary.done, summary.skipped) == (2, 1)
    assert read_scene(tmp_path / "root" / "train" / "036bce3393", dataset.space()).segment[35] == 1


def test_the_class_list_can_be_elsewhere(tmp_path):
    (tmp_path / "top100.txt").write_text("wall\nceiling\n\n")
    dataset = ScanNetPP("scannetpp", None, tmp_path / "pointcept", classes=str(tmp_path / "top100.txt"))
    assert dataset.space().names == ("wall", "ceiling")
    with pytest.raises(UserError, match=r"pass dataset.classes=/path/to/top100.txt"):
        ScanNetPP("scannetpp", None, tmp_path / "pointcept").space()


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("segments.json", None, "segments.json is missing: download it, or remove 7b6477cb95 from splits/nvs_sem_val"),
        ("mesh_aligned_0.05.ply", None, "mesh_aligned_0.05.ply is missing"),
        ("segments.json", {"segIndices": [1, 2]}, "has 2 labels for 162 points"),
        ("segments.json", {"segIndices": "x"}, "no list segIndices"),
        ("segments.json", [], "no list segIndices"),
        ("segments_anno.json", {"segGroups": [{"label": "wall"}]}, "no segGroups with label, objectId and segments"),
        ("segments_anno.json", {}, "no segGroups"),
    ],
)
def test_wrong_files_are_errors_that_name_them(tmp_path, file, content, reason):
    layout = ScanNetPPLayout(scannetpp(tmp_path))
    path = tmp_path / "data" / "7b6477cb95" / "scans" / file
    path.unlink() if content is None else path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=reason):
        layout.read(layout.scans()[1])


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("splits", None, r"no splits/nvs_sem_train.txt in it: request ScanNet\+\+"),
        ("metadata/semantic_benchmark/top100.txt", "wall\nWall\n", "one class a line, each once"),
        ("metadata/semantic_benchmark/map_benchmark.csv", "a,b\n1,2\n", "no columns class and semantic_map_to"),
    ],
)
def test_wrong_metadata_is_an_error(tmp_path, file, content, reason):
    raw = scannetpp(tmp_path / "raw")
    (raw / file).rename(raw / "aside")
    if content is not None:
        (raw / file).write_text(content)
    with pytest.raises(UserError, match=reason):
        ScanNetPP("scannetpp", raw, tmp_path / "root").preprocess(None, 1)
