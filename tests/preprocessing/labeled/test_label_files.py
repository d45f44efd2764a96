"""Files with one label per point: what they mean, and what is said about wrong ones."""

from __future__ import annotations

import io

import numpy as np
import pytest

from ceco3d.preprocessing.labeled.label_files import read_label_file, whole_numbers
from ceco3d.utils.errors import UserError


def npy(values: object) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(values))
    return out.getvalue()


RIGHT = [
    ("a.txt", b"2\n-5\n 7 \n", [2, -5, 7]),
    ("a.labels", b"\xef\xbb\xbf2\r\n-5\r\n7", [2, -5, 7]),
    ("a.txt", b"2.0\n-5.0\nnan\n", [2, -5, -1]),
    ("a.csv", b"label\n2\n-5\n7\n", [2, -5, 7]),
    ("a.csv", b"2\n-5\n7\n", [2, -5, 7]),
    ("a.txt", b"wall\ndining table\n\n-1\n\n", ["wall", "dining table", "", "-1"]),
    ("a.txt", "2147483647\n-2147483648\n".encode("utf-16"), [2**31 - 1, -(2**31)]),
    ("a.npy", npy(np.array([2, -5, 7], np.int8)), [2, -5, 7]),
    ("a.npy", npy(np.array([[2], [255]], np.uint8)), [2, 255]),
    ("a.npy", npy(np.array([2.0, np.nan])), [2, -1]),
    ("a.npy", npy(np.array([True, False])), [1, 0]),
    ("a.npy", npy(np.array(["wall", "dining table"])), ["wall", "dining table"]),
    ("a.npy", npy(np.array([b"wall", b"floor"])), ["wall", "floor"]),
    ("a.npy", npy(np.array([-(2**31), 2**31 - 1])), [-(2**31), 2**31 - 1]),
    ("a.label", np.array([40, 50 | 3 << 16, 50 | 1 << 16], "<u4").tobytes(), [40, 50, 50]),
]


@pytest.mark.parametrize(("name", "content", "expected"), RIGHT, ids=range(len(RIGHT)))
def test_labels_are_read(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    labels, instance = read_label_file(tmp_path / name, len(expected))
    assert labels.tolist() == expected
    assert (instance is not None) == name.endswith(".label")


def test_instances_of_semantickitti_are_told_apart_by_their_class(tmp_path):
    packed = np.array([40, 10 | 1 << 16, 10 | 1 << 16, 11 | 1 << 16, 10 | 2 << 16], "<u4")
    packed.tofile(tmp_path / "a.label")
    instance = read_label_file(tmp_path / "a.label", 5)[1]
    assert instance[0] == -1
    assert instance[1] == instance[2] >= 0
    assert len(set(instance.tolist())) == 4


WRONG = [
    ("a.txt", b"1\n2\n3\n", "has 3 labels for 2 points: is it the file of this scan?"),
    ("a.txt", b"", "has 0 labels for 2 points"),
    ("a.npy", npy([1, 2, 3]), "has 3 labels for 2 points"),
    ("a.label", bytes(12), "has 3 labels for 2 points"),
    ("a.label", bytes(9), "has 9 bytes, which is no multiple of 4: SemanticKITTI has 32 bits a point"),
    ("a.txt", b"1 2\n3 4\n", "has several values in a line"),
    ("a.txt", b"1.5\n2\n", "holds numbers that are no labels, such as 1.5"),
    ("a.txt", b"wall\n2.5\n", "has labels that are neither whole numbers nor names"),
    ("a.csv", b"x,label\n1,2\n3,4\n", "has several values in a line; one label a line is needed"),
    ("a.csv", b"1;2\n3;4\n", "has several values in a line"),
    ("a.npy", npy(np.zeros((2, 3))), "has shape (2, 3), not (points,)"),
    ("a.npy", npy([0.5, 1]), "holds numbers that are no labels, such as 0.5"),
    ("a.npy", npy([np.inf, 1]), "holds numbers that are no labels, such as inf"),
    ("a.npy", npy([1, 2**40]), "holds labels beyond 32 bits"),
    ("a.npy", npy(np.array([1, 2**63], np.uint64)), "holds labels beyond 32 bits"),
    ("a.npy", npy([1j, 2]), "holds complex128, not labels"),
    ("a.npy", b"\x93NUMPY garbage", ""),
    ("a.npy", b"", ""),
    ("a.txt", b"w\xfcst\n2\n", ""),
]


@pytest.mark.parametrize(("name", "content", "message"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_label_file_is_refused_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_label_file(tmp_path / name, 2)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_any_number_of_labels_is_read_if_the_number_of_points_is_unknown(tmp_path):
    (tmp_path / "a.txt").write_text("1\n2\n3\n")
    assert len(read_label_file(tmp_path / "a.txt", None)[0]) == 3


def test_a_label_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"a.txt: cannot be read"):
        read_label_file(tmp_path / "a.txt", None)


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u4", "i8", "f4", "f8", "?"])
def test_labels_of_any_type_are_the_same_numbers(kind):
    assert whole_numbers(np.array([0, 1, 1], kind)).tolist() == [0, 1, 1]
    assert whole_numbers(np.array([], kind)).dtype == np.int64
