"""Submissions: what is written is what the benchmark reads."""

import zipfile

import numpy as np
import pytest

from ceco3d.data.labels import label_space
from ceco3d.inference.submission import check_submission, write_submission

SPACE = label_space("scannet200")


def predictions(seed=0):
    rng = np.random.default_rng(seed)
    return [(f"scene07{n:02d}_00", rng.integers(0, 200, size)) for n, size in enumerate((5, 1, 300))]


def test_round_trip(tmp_path):
    path = tmp_path / "out" / "submission.zip"
    assert write_submission(path, iter(predictions()), SPACE) == {
        f"scene070{n}_00": s for n, s in enumerate((5, 1, 300))
    }
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [f"scene070{n}_00.txt" for n in range(3)]
        for scene, labels in predictions():
            lines = archive.read(f"{scene}.txt").decode().split("\n")
            assert lines.pop() == ""
            assert [int(line) for line in lines] == [SPACE.ids[label] for label in labels]
    assert [p.name for p in path.parent.iterdir()] == ["submission.zip"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": "1\n2\n"}, "b.txt"),
        ({"a.txt": "1\n2\n", "b.txt": "1\n", "c.txt": "1\n"}, "c.txt"),
        ({"a.txt": "1\n2\n", "root/b.txt": "1\n"}, "scenes differ"),
        ({"a.txt": "1\n", "b.txt": "1\n"}, "1 lines for 2 vertices"),
        ({"a.txt": "1\n2\n", "b.txt": "1\n\n"}, "2 lines for 1 vertices"),
        ({"a.txt": "1\n12\n", "b.txt": "1\n"}, r"ids outside scannet200: \[12\]"),
        ({"a.txt": "1\n2\n", "b.txt": "0\n"}, r"ids outside scannet200: \[0\]"),
    ],
)
def test_invalid_submissions_are_found(tmp_path, files, message):
    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    with pytest.raises(ValueError, match=message):
        check_submission(path, {"a": 2, "b": 1}, SPACE)


def test_a_failed_export_leaves_no_submission(tmp_path):
    def broken():
        yield predictions()[0]
        raise RuntimeError("scene lost")

    with pytest.raises(RuntimeError, match="scene lost"):
        write_submission(tmp_path / "submission.zip", broken(), SPACE)
    assert not list(tmp_path.iterdir())
