"""What is wrong in a file of a run is one line with the file, the key and the value."""

import numpy as np
import pytest

from ceco3d.runs.checked import counts, entry, finite, number, reading_file, share, table
from ceco3d.utils.errors import UserError


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: entry({"a": {"b": 1}}, "a", "c"), "it has no a.c"),
        (lambda: entry({"a": 1}, "a", "c"), "it has no a.c"),
        (lambda: entry([1], "a"), "it has no a"),
        (lambda: table({"a": [1]}, "a"), "a is not a table"),
        (lambda: table([1]), "it is not a table"),
        (lambda: number("1", "x.y"), "x.y=1 is not a number"),
        (lambda: number(True, "x.y"), "x.y=True is not a number"),
        (lambda: number(float("nan"), "x.y"), "x.y=nan is not a number"),
        (lambda: number(10**400, "x.y"), "x.y=10000"),
        (lambda: share(1.1, "wall"), "wall=1.1 is not within 0..1"),
        (lambda: share(-0.1, "wall"), "wall=-0.1 is not within 0..1"),
        (lambda: finite(np.array(["a"]), "z"), "z holds something other than numbers"),
        (lambda: finite(np.array([np.inf]), "z"), "z has values that are infinite"),
        (lambda: counts(np.array([-1]), "z"), "z has values that are no numbers of points"),
        (lambda: counts(np.array([0.5]), "z"), "z has values that are no numbers of points"),
        (lambda: counts(np.array([2**64 - 1], np.uint64), "z"), "z has values that are no numbers of points"),
        (lambda: [][1], "list index out of range"),
    ],
)
def test_the_key_and_the_file_are_named(tmp_path, check, message):
    with pytest.raises(UserError) as caught, reading_file(tmp_path / "a.json", tmp_path):
        check()
    assert str(caught.value).startswith(f"{tmp_path / 'a.json'} is damaged: finish the run with ")
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_what_is_right_passes():
    assert entry({"a": {"b": None}}, "a", "b") is None
    assert number(10**20, "x") == 1e20
    assert share(1, "x") == 1.0
    np.testing.assert_array_equal(counts(np.array([3.0, 0.0]), "x"), [3, 0])
    assert counts(np.array([3.0]), "x").dtype == np.int64
