"""Values reach the settings as they were typed, whatever Hydra's grammar makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from ceco3d.cli.quoting import quoted, text_keys
from ceco3d.predict import PredictSettings
from ceco3d.training.settings import TrainSettings
from ceco3d.utils.settings import FilePath, Text
from ceco3d.utils.settings import settings as typed


@typed
class Inner:
    """Nested."""

    title: Text | None = None


@typed
class Own:
    """A field of every kind of text."""

    path: FilePath
    name: Text = ""
    runs: Sequence[FilePath] = ()
    count: int = 1
    inner: Inner = Inner()


def read(argument: str, kind: type | None = Own):
    return OverridesParser.create().parse_override(quoted([argument], kind)[0]).value()


def test_text_is_found_by_type():
    assert text_keys(Own) == {"path": False, "name": False, "runs": True, "inner.title": False}
    assert text_keys(PredictSettings)["input"] is True
    assert text_keys(TrainSettings)["pretrain.run_dir"] is False


@pytest.mark.parametrize(
    "value",
    [
        *(
            "runs/epoch=1-step=2.ckpt",
            "my scans/room (1).ply",
            "room[1].ply",
            "it's.ply",
            'say "a".ply',
            "räume/größe.ply",
        ),
        *(
            r"C:\scans\room 1.ply",
            r"\\server\scans",
            "2026_11",
            "1.10",
            "007",
            "1e3",
            "true",
            "a,b.ply",
            "a;b#c&d!.ply",
        ),
        *("scans/*.ply", "(1).ply", "[1].ply", "{a}.ply", "range(1,3)", "a: b"),
    ],
)
def test_a_path_arrives_as_it_was_typed(value):
    assert read(f"path={value}") == value


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="\\~'\"$"), min_size=1, max_size=12))
def test_any_text_without_quotes_arrives_as_it_was_typed(value):
    if value != "null":
        assert read(f"name={value}") == value


def test_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert read("path=~/room (1).ply") == "/home/me/room (1).ply"
    assert read("runs=[~/a,b]") == ["/home/me/a", "b"]
    assert read("dataset.raw=~/scans", None) == "/home/me/scans"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("runs=[my run (1),2026_11,a=b]", ["my run (1)", "2026_11", "a=b"]),
        ("runs=[]", []),
        ("path=null", None),
        ("path='a b'", "a b"),
        (r"path=epoch\=1.ckpt", "epoch=1.ckpt"),  # Hydra's own way
        ("name=${loss.name}-x", "${loss.name}-x"),
        ("count=1e3", 1000.0),
        ("other=2026_11", 202611),
        ("tta.flips=['',x]", ["", "x"]),
        ("sizes={tiny: {train: 14}}", {"tiny": {"train": 14}}),
    ],
)
def test_lists_numbers_and_quotes_keep_their_meaning(argument, value):
    assert read(argument) == value


def test_sweeps_stay_sweeps():
    for words in (["--multirun", "name=a,b"], ["-m", "count=range(1,3)"], ["experiment=longtail", "name=a,b"]):
        assert quoted(words, Own) == words


def test_a_file_whose_name_has_a_comma_or_brackets_is_a_file(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a,b.ply", "[1] room [2]", "x,y"):
        Path(name).touch()
    assert read("runs=a,b.ply") == "a,b.ply"
    assert read("runs=[1] room [2]") == "[1] room [2]"
    assert read("other=x,y", None) == "x,y"
