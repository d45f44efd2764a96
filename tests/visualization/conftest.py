"""Chromium, and pages open in it."""

from collections.abc import Callable, Iterator

import pytest

from ceco3d.visualization.page import viewer_page
from tests.helpers.viewer import CHROMIUM, DESKTOP, SOFTWARE_GL, Viewer, square


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Chromium, drawing in software."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE_GL)
        yield browser
        browser.close()


@pytest.fixture
def open_viewer(browser, tmp_path) -> Iterator[Callable[..., Viewer]]:
    """Opens the page of a scene; see ``Viewer`` for the options."""
    opened: list[Viewer] = []

    def open_page(scene=None, options=DESKTOP, link="", script="", **page) -> Viewer:
        path = tmp_path / "viewer.html"
        path.write_text(viewer_page(scene or square(), **page), encoding="utf-8")
        opened.append(Viewer(browser, path, options, link, script))
        return opened[-1]

    yield open_page
    for viewer in opened:
        viewer.close()


@pytest.fixture
def viewer(open_viewer) -> Viewer:
    """The page of ``square``, looked at from above."""
    viewer = open_viewer()
    viewer.page.click("#above")
    return viewer
