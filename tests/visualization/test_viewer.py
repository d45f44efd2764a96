"""The viewer in a real browser, and what its page holds."""

import re

import numpy as np
import pytest

from ceco3d.utils.errors import UserError
from ceco3d.visualization.page import viewer_page
from ceco3d.visualization.segmented import Panel, SegmentedScene
from tests.helpers.viewer import NAME, SPACE, color_of, contents, drawn, share, square


def test_the_page_holds_the_points():
    scene = square()
    meta, data = contents(viewer_page(scene))
    count = meta["points"]
    assert count == meta["total"] == len(scene)
    place = np.frombuffer(data, "<u2", 3 * count).reshape(-1, 3) / 65535 * meta["extent"] + meta["low"]
    np.testing.assert_allclose(place, scene.coord, atol=1 / 65535)
    columns = np.frombuffer(data, np.uint8, offset=6 * count)
    assert (columns[: 3 * count].reshape(-1, 3) == scene.color).all()
    labels = columns[3 * count : 6 * count].reshape(3, -1)
    for found, panel in zip(labels, scene.panels, strict=True):
        assert (found == np.where(panel.labels < 0, 255, panel.labels)).all()
    confidence = columns[6 * count :].reshape(2, -1) / 255
    np.testing.assert_allclose(confidence, [p.confidence for p in scene.predictions], atol=1 / 255)


def test_counts_are_of_all_points_where_only_some_are_drawn():
    scene = square()
    page = viewer_page(scene, max_points=500)
    meta, data = contents(page)
    assert (meta["points"], meta["total"]) == (500, len(scene))
    assert len(data) == 500 * (6 + 3 + 3 + 2)
    counts = {item["name"]: item["counts"] for item in meta["classes"]}
    assert counts["table"] == [0, 0, len(scene)]
    assert counts["no label"] == [(scene.truth.labels < 0).sum(), 0, 0]
    assert page == viewer_page(scene, max_points=500)
    assert page != viewer_page(scene, max_points=500, seed=1)


def test_names_cannot_break_the_page():
    page = viewer_page(square("</script><script>alert(1)</script>"))
    assert "alert(1)</script>" not in page
    assert contents(page)[0]["name"] == "</script><script>alert(1)</script>"


def test_five_panels_are_refused():
    scene = square()
    many = SegmentedScene("room", scene.coord, None, None, SPACE, scene.truth, [*scene.predictions] * 2)
    with pytest.raises(UserError, match=r"room: 6 panels, but the viewer shows 4"):
        viewer_page(many)


def test_it_opens_without_network_and_shows_every_panel(viewer):
    assert [url for url in viewer.requests if not url.startswith(("file:", "blob:", "data:"))] == []
    assert viewer.page.inner_text("h1") == NAME
    images, scene = viewer.images(), square()
    assert list(images) == ["Original", "Ground truth", "Run A", "Run B"]
    assert share(images["Original"], scene.color[0]) > 0.95
    assert share(images["Ground truth"], color_of(scene, "wall")) == pytest.approx(0.4, abs=0.05)
    assert share(images["Run A"], color_of(scene, "wall")) == pytest.approx(0.5, abs=0.05)
    assert share(images["Run B"], color_of(scene, "table")) > 0.95


def test_a_click_reads_the_labels_of_the_point(viewer):
    rows = viewer.click("Run B", 0.35, 0.4)
    assert [row[0] for row in rows] == ["Original", "Ground truth", "Run A", "Run B"]
    assert [row[1] for row in rows[1:]] == ["wall", "wall", "table (wrong)"]
    assert [row[2] for row in rows[1:]] == ["", "75 %", "25 %"]
    x, y, _ = map(float, re.findall(r"-?[\d.]+", rows[0][1]))
    assert 0.1 < x < 0.5
    assert 0.5 < y < 0.8
    assert [row[1] for row in viewer.click("Ground truth", 0.65, 0.4)[1:]] == ["chair", "chair", "table (wrong)"]
    assert [row[1] for row in viewer.click("Original", 0.35, 0.85)[1:]] == ["no label", "wall", "table"]
    assert viewer.click("Original", 0.01, 0.5) == []


def test_a_class_that_is_switched_off_disappears_and_comes_back(viewer):
    before, wall = viewer.images(), color_of(square(), "wall")
    viewer.page.get_by_role("checkbox", name="wall head").click()
    hidden = viewer.images()
    gone = drawn(before["Run A"]) & ~drawn(hidden["Run A"])
    assert (np.abs(before["Run A"][gone] - wall).max(1) <= 2).mean() > 0.98
    assert share(hidden["Run A"], wall) == 0
    assert share(hidden["Run A"], color_of(square(), "chair")) > 0.95
    assert (hidden["Run B"] == before["Run B"]).all()
    assert (hidden["Original"] == before["Original"]).all()
    viewer.page.keyboard.press("Space")  # the box has the focus
    viewer.page.mouse.move(5, 5)
    after = viewer.images()
    assert all((after[title] == before[title]).all() for title in before)


def test_search_finds_a_class_and_shows_it_alone(viewer):
    def listed() -> list[str]:
        return [row.inner_text().split()[0] for row in viewer.page.query_selector_all("#legend tbody tr:visible")]

    assert sorted(listed()) == ["chair", "no", "table", "wall"]
    viewer.page.fill("#search", "HAI")
    assert listed() == ["chair"]
    assert viewer.page.inner_text("#found") == "1 of 4 classes"
    viewer.page.click("#only")
    images = viewer.images()
    assert share(images["Run A"], color_of(square(), "chair")) > 0.95
    assert not drawn(images["Run B"]).any()
    viewer.page.fill("#search", "")
    viewer.page.click("#show")
    assert drawn(viewer.images()["Run B"]).any()


@pytest.mark.parametrize("way", ["drag", "keys"])
def test_all_panels_share_one_camera(viewer, way):
    before = viewer.images()
    if way == "drag":
        box = viewer.page.query_selector(".panel").bounding_box()
        viewer.page.mouse.move(box["x"] + 200, box["y"] + 150)
        viewer.page.mouse.down()
        viewer.page.mouse.move(box["x"] + 260, box["y"] + 90, steps=4)
        viewer.page.mouse.up()
    else:
        viewer.page.focus("#stage")
        for key in ("ArrowLeft", "ArrowLeft", "ArrowDown", "-"):
            viewer.page.keyboard.press(key)
    after = viewer.images()
    shapes = [drawn(image) for image in after.values()]
    assert (shapes[0] ^ drawn(before["Original"])).mean() > 0.05
    for shape in shapes[1:]:
        assert (shape ^ shapes[0]).mean() < 0.002


def test_errors_are_red_and_counted_by_the_legend(viewer):
    viewer.page.select_option("#mode", "errors")
    images = viewer.images()
    red, gray = np.array([214, 61, 41]), np.array([214, 219, 224])
    assert share(images["Run A"], red) == 0
    assert share(images["Run A"], gray) == pytest.approx(0.8, abs=0.05)
    assert share(images["Run B"], red) == pytest.approx(0.8, abs=0.05)
    wall = viewer.page.query_selector("#legend tbody tr:has-text('wall')")
    scene = square()
    expected = [
        f"{(panel.labels == 0).sum():,}" if (panel.labels == 0).any() else "\N{EN DASH}" for panel in scene.panels
    ]
    assert [cell.inner_text() for cell in wall.query_selector_all("td")[1:]] == expected


def test_a_labeled_scan_without_normals_or_truth_needs_two_panels(open_viewer):
    scene = square()
    viewer = open_viewer(
        SegmentedScene("scan", scene.coord, None, None, SPACE, None, [Panel("Prediction", scene.truth.labels)])
    )
    assert list(viewer.images()) == ["Original", "Prediction"]
    assert not viewer.page.is_visible("#mode")
    viewer.page.click("#tab-display")
    assert viewer.page.is_visible("#point-size")
    assert not viewer.page.is_visible("#cull")
