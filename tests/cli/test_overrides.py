"""Overrides on the command line: nested lists, presets, hints."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from ceco3d.cli.app import compose, prepare
from ceco3d.cli.catalog import config_dir
from ceco3d.cli.hints import suggestion
from ceco3d.cli.overrides import flat_keys, presets
from ceco3d.cli.quoting import quoted
from ceco3d.utils.errors import UserError

WORDS = st.text("abcxyz019._/-", min_size=1, max_size=6).filter(lambda word: word not in ("null", "true", "false"))
KEYS = st.text("abc", min_size=1, max_size=3)
QUOTED = st.text("ab,=[]{}() \\", max_size=6).map(lambda text: f"'{text}x'")
VALUES = st.recursive(
    st.one_of(WORDS, QUOTED, QUOTED.map(lambda text: text.replace("'", '"')), st.just(r"C:\scans")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.tuples(KEYS, inner).map(lambda pair: f"{{{pair[0]}: {pair[1]}}}"),
    ),
    max_leaves=4,
)
OVERRIDES = st.tuples(KEYS, VALUES).map("=".join)


def quote_nested(argument: str) -> str:
    return quoted([argument])[0]


def parsed(argument: str):
    return OverridesParser.create().parse_override(argument).value()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(OVERRIDES, min_size=1, max_size=3))
def test_overrides_in_a_list_arrive_as_they_were_typed(elements):
    argument = f"train=[{','.join(elements)}]"
    assert parsed(quote_nested(argument)) == elements


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.one_of(OVERRIDES, WORDS), max_size=3))
def test_quoting_twice_is_quoting_once(elements):
    once = quote_nested(f"train=[{','.join(elements)}]")
    assert quote_nested(once) == once


@pytest.mark.parametrize(
    "argument",
    [
        *("loss=ce", "features=[coord,color]", "loss.center=null", "tta.rotations=[0,90]", "runs=[]", "--multirun"),
        *("scales=[[0.2,0.4],[0.8,1.6]]", "sizes={tiny: {train: 14}}", "~loss.center", "flips=['',x]"),
    ],
)
def test_other_arguments_stay_as_they_are(argument):
    assert quote_nested(argument) == argument


def test_brackets_that_do_not_match_are_refused():
    with pytest.raises(UserError, match=r"^a=\[b=c: brackets or quotes do not match; a list is a=\[a,b\]"):
        quote_nested("a=[b=c")


def test_spaces_around_elements_do_not_matter():
    assert quote_nested("train=[ seed=1 , loss=ce ]") == "train=['seed=1','loss=ce']"


@pytest.mark.parametrize(
    ("command", "arguments", "chosen"),
    [
        ("train", [], "rooms200"),
        ("train", ["loss=ce", "dataset=rooms200"], "rooms200"),
        ("train", ["dataset=scannet200"], None),
        ("train", ["preset=[]"], None),
        ("train", ["dataset=rooms200", "preset=[mine]"], None),
        ("pretrain", [], "rooms200,rooms200_csc"),
        ("pretrain", ["method=lground"], "rooms200"),
        ("pretrain", ["dataset=scannet20", "method=csc"], None),
        ("evaluate", [], None),
        ("predict", [], None),
    ],
)
def test_presets_are_those_of_the_data_set_and_the_method(command, arguments, chosen):
    assert presets([config_dir()], command, arguments) == ([] if chosen is None else [f"preset=[{chosen}]"])


def test_presets_yield_to_what_the_user_sets():
    assert compose("train")["trainer"]["epochs"] == 10
    assert compose("train", ["trainer.epochs=3"])["trainer"]["epochs"] == 3
    assert compose("train", ["optimizer=sgd"])["optimizer"]["_target_"] == "torch.optim.SGD"


@pytest.mark.parametrize(
    "arguments",
    [["--cfg", "job", "loss=ce", "seed=1"], ["loss=ce", "seed=1", "--cfg", "job"], ["--cfg", "job"], ["loss=ce"], []],
)
def test_presets_come_before_the_overrides_and_beside_them(arguments):
    prepared = prepare("train", arguments, [config_dir()])
    place = prepared.index("preset=[rooms200]")
    assert prepared[:place] + prepared[place + 1 :] == arguments
    assert prepared[place + 1 : place + 2] in (["loss=ce"], [])


def test_options_of_hydra_may_come_first(run_command):
    outcome = run_command("train", "--cfg", "job", "loss=ce", "trainer.epochs=7")
    assert outcome.code == 0, outcome.err
    assert "epochs: 7" in outcome.out


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("trainer.epohcs", "; did you mean trainer.epochs?"),
        ("epochs", "; did you mean trainer.epochs?"),
        ("lr", "; did you mean optimizer.lr?"),
        ("model.gamma", "; did you mean loss.point.gamma?"),
        ("nothing_like_it", ""),
        ("trainer.epochs", ""),
    ],
)
def test_hints_name_the_closest_keys(key, hint):
    config = {"trainer": {"epochs": 1, "workers": 0}, "optimizer": {"lr": 1}, "loss": {"point": {"gamma": 0}}}
    assert suggestion(key, flat_keys(config)) == hint


def test_keys_are_listed_at_every_depth():
    assert list(flat_keys({"a": 1, "b": {"c": {"d": None}, "e": []}})) == ["a", "b", "b.c", "b.c.d", "b.e"]
