"""The keys of evaluate, export and predict that say how a scene is predicted: views and fragments."""

import pytest

from ceco3d.inference import View
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of

HEADINGS = [0.0, 90.0, 180.0, 270.0]


def views(*overrides):
    return settings_of("export", "checkpoint=best.pt", *overrides).tta.views()


def test_pointcepts_recipe_is_the_default_of_export_but_for_the_number_of_passes():
    assert views() == views("tta=rotations") == [View(heading) for heading in HEADINGS]
    assert settings_of("export", "checkpoint=best.pt", "fragments=true").fragments is None


def test_volt_teacher_has_thirteen_views_and_the_last_is_a_double_flip():
    found = views("tta=volt_teacher")
    assert len(found) == 13
    assert set(found[:-1]) == {View(heading, "", size) for heading in HEADINGS for size in (0.95, 1.0, 1.05)}
    assert found[-1] == View(0.0, "xy", 1.0)


def test_further_views_follow_the_combinations():
    assert views("tta=none", "tta.more=[{rotation:45,scale:0.9},{flip:y}]") == [
        View(),
        View(45, "", 0.9),
        View(0, "y", 1),
    ]
    assert views("tta=none", "tta.rotations=[]", "tta.more=[{flip:y}]") == [View(0.0, "y", 1.0)]


@pytest.mark.parametrize(
    "keys",
    [["tta.more=[{flap:x}]"], ["tta.more=[{scale:-1}]"], ["tta.more=[{flip:z}]"], ["tta.more=[{rotation:left}]"]],
)
def test_views_that_make_no_sense_are_refused(keys):
    with pytest.raises(UserError, match="more is a list of views"):
        views(*keys)


@pytest.mark.parametrize("command", ["evaluate", "export", "predict"])
def test_fragments_are_all_none_or_a_number_of_passes(command):
    given = ["checkpoint=best.pt", *(["input=scan.ply", "out=labeled"] if command == "predict" else [])]
    found = {value: settings_of(command, *given, f"fragments={value}").fragments for value in ("true", "false", 1, 7)}
    assert found == {"true": None, "false": 1, 1: 1, 7: 7}
    assert settings_of(command, *given).fragments == 4
    for wrong in ("0", "-1", "null", "some", "1.5"):
        with pytest.raises(UserError, match=r"fragments=.*true, false or a number of passes"):
            settings_of(command, *given, f"fragments={wrong}")
