"""ARKit LabelMaker: meshes with one WordNet id of LabelMaker a vertex."""

import numpy as np
import pytest

from ceco3d.data.labels import class_rows, label_space
from ceco3d.data.scenes.processed import read_scene
from ceco3d.preprocessing.layouts.labelmaker import LabelMaker, LabelMakerLayout
from ceco3d.utils.errors import UserError
from tests.helpers.public_scans import labelmaker, mesh


def test_scenes_are_found_by_folder(tmp_path):
    scans = LabelMakerLayout(labelmaker(tmp_path)).scans()
    assert [(scan.name, scan.split) for scan in scans] == [("42897986", "train"), ("41069021", "val")]


def test_ids_become_those_of_scannet200(tmp_path):
    layout = LabelMakerLayout(labelmaker(tmp_path))
    labels = layout.read(layout.scans()[0]).labels
    assert labels[:4].tolist() == [-1, 1, 3, -1]  # unknown, wall, floor, vase: no class of ScanNet200


def test_or_stay_as_they_are(tmp_path):
    layout = LabelMakerLayout(labelmaker(tmp_path), "labelmaker")
    assert layout.read(layout.scans()[0]).labels[:4].tolist() == [0, 1, 6, 132]
    space = label_space("labelmaker")
    assert len(space) == 185
    assert space.ignored == (0,)


def test_every_mapped_id_is_a_class_of_scannet200():
    ids = {int(row["scannet200"]) for row in class_rows("labelmaker") if row["scannet200"]}
    assert ids <= set(label_space("scannet200").ids)
    assert len(ids) == 136


def test_the_colors_of_labels_are_not_read(tmp_path):
    layout = LabelMakerLayout(labelmaker(tmp_path))
    beside, alone = (layout.read(scan).scan for scan in layout.scans())
    assert len(np.unique(beside.color, axis=0)) > 1  # of mesh.ply
    assert alone.color is None


@pytest.mark.parametrize("classes", ["scannet200", "labelmaker"])
def test_scenes_have_labels_and_normals(tmp_path, classes):
    dataset = LabelMaker("labelmaker", labelmaker(tmp_path / "raw"), tmp_path / "root", classes=classes)
    assert dataset.preprocess(None, 1).done == 2
    scene = read_scene(tmp_path / "root" / "val" / "41069021", dataset.space())
    names = {dataset.space().names[k] for k in scene.segment.unique().tolist() if k >= 0}
    assert names == ({"wall", "floor"} if classes == "scannet200" else {"wall", "floor", "vase"})
    assert scene.normal.norm(dim=1).allclose(scene.normal.new_ones(1), atol=1e-3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda scene: (scene / "labels.txt").unlink(), "labels.txt is missing: download it"),
        (lambda scene: (scene / "point_lifted_mesh.ply").unlink(), "point_lifted_mesh.ply is missing: download it"),
        (lambda scene: (scene / "labels.txt").write_text("1\n2\n"), "has 2 labels for 162 points"),
        (
            lambda scene: (scene / "labels.txt").write_text("999\n" * 2 + "1\n" * 160),
            r"2 points have 1 ids .*: 999 \(2",
        ),
        (lambda scene: (scene / "labels.txt").write_text("wall\n" * 162), "has names, not the ids"),
        (lambda scene: mesh(scene / "mesh.ply", (1, 2, 3)) and cut(scene / "mesh.ply"), "mesh.ply has 3 vertices"),
    ],
    ids=["no labels", "no mesh", "length", "unknown id", "names", "another mesh"],
)
def test_wrong_files_are_errors_that_name_them(tmp_path, change, reason):
    layout = LabelMakerLayout(labelmaker(tmp_path))
    change(tmp_path / "Validation" / "41069021")
    scan = next(scan for scan in layout.scans() if scan.split == "val")
    with pytest.raises(UserError, match=reason):
        layout.read(scan)


def cut(path):
    """Replace a mesh by one of three vertices."""
    path.write_text(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
        "0 0 0\n1 0 0\n0 1 0\n"
    )


def test_another_folder_says_what_to_download(tmp_path):
    with pytest.raises(UserError, match=r"no Training/.*huggingface.co/datasets/labelmaker"):
        LabelMakerLayout(tmp_path).scans()


def test_unknown_classes_are_an_error(tmp_path):
    with pytest.raises(UserError, match=r"dataset.classes=nyu40: choose scannet200 or labelmaker"):
        LabelMaker("labelmaker", tmp_path, tmp_path / "root", classes="nyu40").layout()
