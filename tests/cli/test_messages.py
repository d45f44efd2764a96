"""What a user reads about a wrong setting: the key, the value, what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from ceco3d.cli.endings import one_line
from ceco3d.cli.settings import plain, to_settings
from ceco3d.utils.errors import UserError
from ceco3d.utils.settings import Count, Positive, Share, settings


@settings
class Part:
    """Nested settings."""

    count: Count = 1
    rate: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.5


@settings
class Whole:
    """One field of every kind."""

    path: Path
    part: Part = Part()
    size: Positive = 1.0
    offset: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.0
    share: Share = 0.0
    flag: bool = False
    unit: Literal["m", "cm", "mm"] = "m"
    name: str = ""
    names: Sequence[str] = ()
    some: Annotated[Sequence[Count], Field(min_length=1)] = (1,)
    pair: tuple[float, float] = (0.0, 1.0)
    table: Mapping[str, Count] = Field(default_factory=dict)
    maybe: Count | None = None


def message(content: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        to_settings(Whole, {"path": "here"} | content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"part": {"count": 1.5}}, "part.count=1.5: must be a whole number"),
        ({"part": {"count": "many"}}, "part.count=many: must be a whole number"),
        ({"part": {"count": None}}, "part.count=null: must be a whole number"),
        ({"part": {"count": True}}, "part.count=true: must be a whole number"),
        ({"part": {"count": 0}}, "part.count=0: must be at least 1"),
        ({"part": {"rate": 0.0}}, "part.rate=0.0: must be greater than 0"),
        ({"part": {"rate": 1.0}}, "part.rate=1.0: must be less than 1"),
        ({"part": 5}, "part=5: must have keys of its own, see --help"),
        ({"size": "fine"}, "size=fine: must be a number"),
        ({"size": -1.0}, "size=-1.0: must be greater than 0"),
        ({"size": float("inf")}, "size=inf: must be a finite number"),
        ({"offset": -0.5}, "offset=-0.5: must be at least 0"),
        ({"share": 1.5}, "share=1.5: must be at most 1"),
        ({"flag": "perhaps"}, "flag=perhaps: must be true or false"),
        ({"unit": "inch"}, "unit=inch: choose m, cm or mm"),
        ({"name": 5}, "name=5: must be text"),
        ({"path": 5}, "path=5: must be a path"),
        ({"names": "color"}, "names=color: must be a list, e.g. names=[color]"),
        ({"names": 5}, "names=5: must be a list, e.g. names=[5]"),
        ({"names": ["color", 5]}, "names[1]=5: must be text"),
        ({"some": []}, "some=[]: must have at least 1"),
        ({"some": [1, 0]}, "some[1]=0: must be at least 1"),
        ({"pair": 3}, "pair=3: must be a list, e.g. pair=[3]"),
        ({"table": {"train": 0}}, "table.train=0: must be at least 1"),
        ({"table": 3}, "table=3: must have keys of its own, see --help"),
        ({"maybe": "x"}, "maybe=x: must be a whole number"),
        ({"part": {"cuont": 1}}, "part.cuont: no such key; did you mean part.count?"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(content, text):
    # The composed configuration has every key; hints come from it.
    known = {"part": {"count": 1, "rate": 0.5}}
    if "part" in content and isinstance(content["part"], dict):
        content = {"part": known["part"] | content["part"]}
    assert message(content) == text


def test_an_unknown_key_is_named():
    assert message({"zzz": 1}) == "zzz: no such key"


def test_a_missing_key_says_how_to_pass_it():
    with pytest.raises(UserError, match=r"^path: is not set; pass path=\.\.\.$"):
        to_settings(Whole, {})


def test_a_mandatory_key_of_the_configuration_says_how_to_pass_it():
    from omegaconf import OmegaConf

    with pytest.raises(UserError, match=r"^checkpoint is not set: pass checkpoint=\.\.\., see --help$"):
        plain(OmegaConf.create({"checkpoint": "???", "split": "val"}))


def test_long_values_are_cut():
    text = message({"unit": "x" * 500})
    assert len(text) < 130
    assert text.endswith("...: choose m, cm or mm")


def test_values_in_range_pass():
    whole = to_settings(Whole, {"path": "here", "part": {"count": 3}, "names": ["a"], "maybe": 2, "size": 2})
    assert (whole.part.count, whole.names, whole.maybe, whole.size) == (3, ["a"], 2, 2.0)


def test_errors_of_several_lines_become_one():
    error = ValueError("first line.\n  object_type=dict\nsecond line:\nConfig search path:\n  a\n  b")
    assert one_line(error) == "first line; second line"
