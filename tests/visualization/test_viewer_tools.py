"""The tools of the viewer in a real browser: colors, distances, the clip box, screenshots, links, themes."""

import re
from io import BytesIO
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from ceco3d.data.labels import LabelSpace
from ceco3d.visualization.segmented import Panel, SegmentedScene
from tests.helpers.viewer import DESKTOP, SPACE, Viewer, color_of, drawn, share, square

CORNERS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
AMBER, TEAL = np.array([245, 190, 70]), np.array([120, 180, 190])  # confidence 50 % and 75 %


def triangle() -> SegmentedScene:
    """Points of different colors at the corners of a triangle with sides of 3, 4 and 5 m, far from the origin."""
    coord = np.array([[1000, -2000, 50], [1003, -2000, 50], [1003, -1996, 50]])
    panel = Panel("Prediction", np.zeros(3, np.int64))
    return SegmentedScene("triangle", coord, np.array([*CORNERS.values()], np.uint8), None, SPACE, None, [panel])


def find(viewer: Viewer, color: str) -> tuple[float, float]:
    """Where the original shows a color, in shares of the panel."""
    image = viewer.images()["Original"]
    rows, columns = np.nonzero((np.abs(image - CORNERS[color]) < 20).all(2))
    height, width = (n + m for n, m in zip(image.shape, (44, 8), strict=False))
    return (columns.mean() + 4) / width, (rows.mean() + 40) / height


def test_confidence_is_a_color(viewer):
    viewer.page.select_option("#mode", "confidence")
    images = viewer.images()
    assert viewer.page.is_visible("#key")
    assert share(images["Run A"], AMBER) == pytest.approx(0.5, abs=0.05)
    assert share(images["Run A"], TEAL) == pytest.approx(0.5, abs=0.05)
    assert share(images["Run B"], np.array([236, 112, 48])) > 0.95  # 25 %
    assert share(images["Original"], square().color[0]) > 0.95  # these two have no confidence
    assert share(images["Ground truth"], color_of(square(), "wall")) == pytest.approx(0.4, abs=0.05)


def test_modes_are_those_that_the_data_allows(open_viewer):
    scene = square()
    bare = [Panel("Prediction", scene.truth.labels)]
    viewer = open_viewer(SegmentedScene("scan", scene.coord, scene.color, None, SPACE, None, bare))
    viewer.page.click("#above")
    assert viewer.page.eval_on_selector_all("#mode option", "all => all.map(o => o.value)") == ["classes", "scan"]
    viewer.page.select_option("#mode", "scan")
    assert share(viewer.images()["Prediction"], scene.color[0]) > 0.95
    assert viewer.click("Prediction", 0.35, 0.4)[1] == ["Prediction", "wall"]


@pytest.mark.parametrize("way", ["button", "key"])
def test_two_clicks_measure_a_distance_in_meters(open_viewer, way):
    viewer = open_viewer(triangle())
    viewer.page.click("#above")
    spots = {color: find(viewer, color) for color in CORNERS}
    if way == "button":
        viewer.page.click("#measure")
    else:
        viewer.page.focus("#stage")
        viewer.page.keyboard.press("m")
    assert viewer.page.get_attribute("#measure", "aria-pressed") == "true"
    for color, distance in [("red", None), ("blue", "5.000"), ("green", None), ("blue", "4.000")]:
        viewer.click("Original", *spots[color])
        text = viewer.page.inner_text("#measured p")
        assert f"{distance} m" in text if distance else text == "Choose the second point."
    assert re.search(r"Δx 0.000\s+Δy 4.000\s+Δz 0.000", viewer.page.inner_text("#measured p"))
    assert viewer.page.inner_text(".panel >> nth=1").endswith("Prediction")
    viewer.images()
    assert viewer.page.locator(".panel svg text").all_text_contents() == ["4.000 m"] * 2
    viewer.page.focus("#stage")
    viewer.page.keyboard.press("Escape")
    assert not viewer.page.is_visible("#measured")
    viewer.page.wait_for_selector(".panel svg *", state="detached")


def test_the_clip_box_hides_and_counts_what_is_outside(viewer):
    before, scene = viewer.images(), square()
    viewer.page.click("#tab-clip")
    assert viewer.page.inner_text("#inside") == "The box holds all points."
    upper = viewer.page.get_by_label("x, upper side in meters")
    upper.fill("0.49")
    upper.press("Enter")
    inside = int((scene.coord[:, 0] <= 0.49).sum())
    assert viewer.page.inner_text("#inside") == f"{inside:,} of {len(scene):,} points inside"
    viewer.page.click("#tab-legend")  # the box is not drawn any more
    clipped = viewer.images()
    for title, image in clipped.items():
        assert drawn(image).sum() == pytest.approx(drawn(before[title]).sum() * 0.5, rel=0.03)
    assert share(clipped["Run A"], color_of(scene, "wall")) > 0.95
    assert viewer.click("Original", 0.65, 0.4) == []  # what is hidden is not picked
    viewer.page.click("#tab-clip")
    slider = viewer.page.get_by_label("y, lower side of the clip box")
    slider.focus()
    for _ in range(50):
        viewer.page.keyboard.press("ArrowRight")
    assert float(viewer.link()["box"].split(",")[2]) == pytest.approx(0.5, abs=0.01)
    viewer.page.click("#whole")
    viewer.page.click("#tab-legend")
    assert all((image == before[title]).all() for title, image in viewer.images().items())


def test_rooms_open_without_their_ceiling_and_say_so(open_viewer):
    scene = square()
    coord = np.concatenate([scene.coord, scene.coord + np.array([0, 0, 2.5])])
    twice = [Panel("Prediction", np.tile(scene.truth.labels, 2))]
    viewer = open_viewer(SegmentedScene("room", coord, None, None, SPACE, None, twice))
    viewer.page.click("#tab-clip")
    assert viewer.page.inner_text("#inside") == f"{len(scene):,} of {len(coord):,} points inside"
    viewer.page.click("#whole")
    assert viewer.page.inner_text("#inside") == "The box holds all points."
    viewer.page.click("#open")
    assert viewer.page.inner_text("#inside") == f"{len(scene):,} of {len(coord):,} points inside"


def test_a_screenshot_is_a_png_of_the_stage(viewer, tmp_path):
    viewer.page.select_option("#mode", "confidence")
    viewer.images()
    with viewer.page.expect_download() as download:
        viewer.page.click("#screenshot")
    assert download.value.suggested_filename.endswith(".png")
    download.value.save_as(tmp_path / "shot.png")
    image = (matplotlib.image.imread(BytesIO((tmp_path / "shot.png").read_bytes()))[..., :3] * 255).round()
    stage = viewer.page.query_selector("#stage").bounding_box()
    assert image.shape[1] == round(stage["width"])
    assert image.shape[0] == round(stage["height"]) + 30
    for color in (AMBER, TEAL, square().color[0]):
        assert (np.abs(image - color).max(2) <= 2).sum() > 5000


def change_everything(viewer: Viewer) -> None:
    page = viewer.page
    page.click("#corner")
    page.focus("#stage")
    for key in ("ArrowLeft", "Shift+ArrowUp", "-"):
        page.keyboard.press(key)
    page.select_option("#mode", "errors")
    page.get_by_role("checkbox", name="chair head").click()
    viewer.click("Run A", 0.45, 0.5)
    page.click("#tab-clip")
    page.get_by_label("y, lower side in meters").fill("0.25")
    page.keyboard.press("Enter")
    page.click("#tab-display")
    page.get_by_label("Point size").fill("1.5")
    page.select_option("#focus", label="Run A")
    page.click("#measure")
    viewer.click("Run A", 0.45, 0.5)
    page.mouse.move(5, 5)


def test_a_link_restores_the_view(open_viewer):
    viewer = open_viewer()
    change_everything(viewer)
    link, before = viewer.link(), viewer.images()
    assert set(link) == {"eye", "target", "colors", "size", "panel", "box", "hide", "point", "ruler"}
    address = viewer.page.evaluate("location.hash")
    other = open_viewer(link=address)
    viewer.page.reload()
    viewer.page.wait_for_selector("body[data-ready=true]")
    for page in (viewer, other):
        images = page.images()
        assert list(images) == ["Run A"]
        assert (np.abs(images["Run A"] - before["Run A"]).max(2) > 3).mean() < 0.001
        assert page.page.input_value("#mode") == "errors"
        assert not page.page.get_by_role("checkbox", name="chair head").is_checked()
        assert page.rows()[1][1] == "wall"
        assert page.page.input_value("#point-size") == "1.5"
        assert page.page.inner_text("#measured p") == "Choose the second point."
    other.page.focus("#stage")
    other.page.keyboard.press("+")
    assert {name: value for name, value in other.link().items() if name != "eye"} == {
        name: value for name, value in link.items() if name != "eye"
    }


LINKS = {
    "#eye=1,2,x&target=0,0,0": "eye",
    "#colors=heat": "colors",
    "#panel=9": "panel",
    "#box=0,1,0,1,1,0": "box",
    "#point=7,7,7": "point",
    "#size=Infinity": "size",
    "#hide=<b>": "hide",
}


def test_a_link_that_does_not_fit_is_named_and_shown_as_usual(open_viewer):
    first, *others = LINKS
    viewer = open_viewer(link=first)
    assert f"({LINKS[first]})" in viewer.page.inner_text("#notice")
    usual = viewer.images()
    for link in others:
        viewer.page.evaluate("link => { location.hash = link; }", link)
        viewer.page.wait_for_selector(f"#notice:has-text('({LINKS[link]})')")
    images = viewer.images()
    assert list(images) == ["Original", "Ground truth", "Run A", "Run B"]
    assert all((images[title][60:] == usual[title][60:]).all() for title in usual)


def test_the_button_copies_the_link(open_viewer):
    viewer = open_viewer()
    viewer.page.click("#share")
    viewer.page.wait_for_selector("#notice:not(:empty)")
    assert re.search("Link copied|Copy the link", viewer.page.inner_text("#notice"))
    assert "eye=" in viewer.page.evaluate("location.hash")


def test_dark_and_light_follow_the_system_until_chosen(open_viewer):
    def shade() -> int:
        return viewer.images()["Run A"][0, 0].sum()

    viewer = open_viewer(options=DESKTOP | {"color_scheme": "dark"})
    assert shade() < 100
    viewer.page.emulate_media(color_scheme="light")
    assert shade() > 700
    viewer.page.click("#theme")
    assert shade() < 100
    viewer.page.reload()
    viewer.page.wait_for_selector("body[data-ready=true]")
    assert shade() < 100
    assert viewer.page.get_attribute("#theme", "aria-pressed") == "true"


def test_without_webgl_there_is_one_clear_message(open_viewer):
    viewer = open_viewer(script="HTMLCanvasElement.prototype.getContext = () => null")
    assert "no WebGL 2" in viewer.page.inner_text("#message")
    assert not viewer.page.is_visible("aside")
    assert not viewer.page.is_visible("#screenshot")


def test_a_sample_of_the_points_is_announced(open_viewer):
    viewer = open_viewer(max_points=500)
    assert viewer.page.inner_text("#size") == "500 of 2,601 points, a random sample"
    assert "all 2,601 points" in viewer.page.inner_text("#sampled")


def test_one_panel_can_be_shown_alone(viewer):
    viewer.page.get_by_role("button", name="Run B").click()
    assert list(viewer.images()) == ["Run B"]
    assert viewer.page.input_value("#focus") == "2"
    viewer.page.get_by_role("button", name="Run B").click()
    assert len(viewer.images()) == 4


def test_every_control_has_a_name_and_the_keyboard_reaches_it(viewer):
    nameless = (
        """all => all.filter(e => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)"""
    )
    assert viewer.page.eval_on_selector_all("button, input, select", nameless) == []
    viewer.page.focus("#tab-legend")
    viewer.page.keyboard.press("ArrowRight")
    assert viewer.page.evaluate("document.activeElement.id") == "tab-clip"
    assert viewer.page.is_visible("#sides")
    viewer.page.focus("#stage")
    viewer.page.keyboard.press("Enter")
    assert [row[0] for row in viewer.rows()] == ["Original", "Ground truth", "Run A", "Run B"]


def test_sharp_screens_get_sharp_points(open_viewer):
    viewer = open_viewer(options=DESKTOP | {"device_scale_factor": 2})
    assert viewer.page.evaluate("document.querySelector('canvas').width") == 2 * viewer.page.evaluate(
        "document.getElementById('stage').clientWidth"
    )


def test_more_classes_than_a_byte_holds_keep_their_colors_and_names(open_viewer):
    count = 300
    colors = np.random.default_rng(0).integers(0, 256, (count, 3)).astype(np.uint8)
    names = tuple(f"</script><b>class {k}" for k in range(count))
    space = LabelSpace("many", tuple(range(1, count + 1)), names, colors, {})
    scene = square()
    truth = Panel("Ground truth", np.where(scene.truth.labels < 0, -1, 44 + 255 * scene.truth.labels))  # 44 and 299
    viewer = open_viewer(SegmentedScene("many", scene.coord, None, None, space, truth, []))
    viewer.page.click("#above")
    image = viewer.images()["Ground truth"]
    for k in (44, 299):
        assert share(image, viewer_color(scene, space, truth, k)) == pytest.approx(0.4, abs=0.05)
    assert viewer.click("Ground truth", 0.7, 0.4)[1][1] == "</script><b>class 299"
    assert viewer.click("Ground truth", 0.35, 0.7)[1][1] == "no label"


def viewer_color(scene: SegmentedScene, space: LabelSpace, truth: Panel, k: int) -> np.ndarray:
    return SegmentedScene("many", scene.coord, None, None, space, truth, []).palette[k]


def test_a_scene_of_one_point_can_be_seen(open_viewer):
    coord = np.array([[5e5, 4e6, 100.0]])
    viewer = open_viewer(SegmentedScene("dot", coord, None, None, SPACE, None, [Panel("P", np.zeros(1, np.int64))]))
    assert drawn(viewer.images()["P"]).any()
    assert "500000.00, 4000000.00, 100.00 m" in viewer.click("P", 0.5, 0.5)[0][1]


def test_nothing_in_the_page_points_elsewhere(open_viewer, tmp_path):
    open_viewer()
    text = Path(tmp_path / "viewer.html").read_text(encoding="utf-8")
    outside = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "default-src 'none'; script-src 'sha256-" in outside
    assert "unsafe-eval" not in outside
    assert not re.search(r"(src|href)=.?https?:", outside)
