"""The viewer on a phone: its layout, and what fingers do."""

import numpy as np
import pytest

from tests.helpers.viewer import PHONE, Viewer, drawn


@pytest.fixture
def phone(open_viewer) -> Viewer:
    viewer = open_viewer(options=PHONE)
    viewer.page.tap("#above")
    return viewer


def box(viewer: Viewer, selector: str) -> dict[str, float]:
    return viewer.page.query_selector(selector).bounding_box()


def sideways(viewer: Viewer) -> int:
    """Pixels by which the page is wider than the screen."""
    return viewer.page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_the_scene_fills_the_phone(phone):
    stage = box(phone, "#stage")
    assert stage["width"] > 300
    assert stage["height"] > 600
    assert sideways(phone) == 0
    images = phone.images()
    assert len(images) == 4
    assert all(drawn(image).mean() > 0.1 for image in images.values())


def test_all_controls_are_on_the_screen_and_large_enough_for_a_finger(phone):
    for tab in ("legend", "clip", "display"):
        phone.page.tap(f"#tab-{tab}")
        assert phone.page.is_visible(f"#{tab}")
        assert box(phone, "#stage")["height"] > 250
        assert sideways(phone) == 0
        for control in phone.page.query_selector_all("header button:visible, header select:visible, [role=tab]"):
            place = control.bounding_box()
            assert place["x"] >= 0
            assert place["x"] + place["width"] <= 390
            assert min(place["width"], place["height"]) >= 40
    phone.page.tap("#tab-display")
    assert not phone.page.is_visible("#display")


def test_one_finger_rotates(phone):
    (eye, target), images = phone.camera(), phone.images()
    stage = box(phone, "#stage")
    x, y = stage["x"] + 200, stage["y"] + 300
    phone.touch(((x, y), (x + 80, y - 60)))
    new_eye, new_target = phone.camera()
    np.testing.assert_allclose(new_target, target, atol=1e-3)
    assert np.linalg.norm(new_eye - new_target) == pytest.approx(np.linalg.norm(eye - target), rel=1e-3)
    assert np.linalg.norm(new_eye - eye) > 0.2
    assert (drawn(phone.images()["Run A"]) ^ drawn(images["Run A"])).mean() > 0.03
    assert phone.rows() == []  # turning is no tap


def test_two_fingers_zoom_and_pan(phone):
    eye, target = phone.camera()
    stage = box(phone, "#stage")
    x, y = stage["x"] + 195, stage["y"] + 300
    phone.touch(((x - 30, y), (x - 90, y)), ((x + 30, y), (x + 90, y)))
    closer, _ = phone.camera()
    assert np.linalg.norm(closer - target) < 0.6 * np.linalg.norm(eye - target)
    phone.touch(((x - 40, y), (x - 40, y + 90)), ((x + 40, y), (x + 40, y + 90)))
    _, moved = phone.camera()
    assert np.linalg.norm(moved - target) > 0.05
    assert phone.rows() == []


def test_a_tap_reads_a_point_and_the_card_closes(phone):
    stage = box(phone, "#stage")
    phone.page.touchscreen.tap(stage["x"] + 0.35 * stage["width"] / 2, stage["y"] + stage["height"] / 4)
    rows = phone.rows()
    assert [row[1] for row in rows[1:]] == ["wall", "wall", "table (wrong)"]
    card = box(phone, "#picked")
    assert card["x"] >= 0
    assert card["x"] + card["width"] <= 390
    phone.page.tap("#picked .close")
    assert not phone.page.is_visible("#picked")


def test_classes_are_searched_and_hidden_on_a_phone(phone):
    phone.page.tap("#tab-legend")
    phone.page.fill("#search", "chair")
    assert phone.page.inner_text("#found") == "1 of 4 classes"
    before = phone.images()
    phone.page.get_by_role("checkbox", name="chair head").tap()
    assert drawn(phone.images()["Run A"]).sum() < 0.6 * drawn(before["Run A"]).sum()
