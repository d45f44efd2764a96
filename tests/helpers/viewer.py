"""The viewer's page for tests: a scene of known colors, the page in Chromium, and what its panels show."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np

from ceco3d.data.labels import label_space
from ceco3d.visualization.segmented import Panel, SegmentedScene

SPACE = label_space("scannet200")
SOFTWARE_GL = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NAME = "room <b>&1</b>"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}


def square(name: str = NAME, step: float = 0.02, runs: int = 2) -> SegmentedScene:
    """A square of 1 m seen from above: left wall and right chair, the first fifth (below) without ground truth.

    The first run is right, the second says table everywhere.
    """
    x, y = np.meshgrid(np.arange(0, 1.001, step), np.arange(0, 1.001, step))
    coord = np.stack([x.ravel(), y.ravel(), 0.01 * x.ravel()], 1).astype(np.float32)
    side = (coord[:, 0] > 0.5).astype(np.int64)
    truth = np.where(coord[:, 1] < 0.2, -1, side)
    color = np.full((len(coord), 3), (120, 60, 200), np.uint8)
    table = np.full(len(coord), SPACE.names.index("table"))
    predictions = [
        Panel("Run A", side, np.where(side == 0, 0.75, 0.5).astype(np.float32)),
        Panel("Run B", table, np.full(len(coord), 0.25, np.float32)),
    ]
    return SegmentedScene(name, coord, color, None, SPACE, Panel("Ground truth", truth), predictions[:runs])


def contents(page: str) -> tuple[dict, bytes]:
    """What the page says of the points, and the points."""
    meta = re.search(r'<script id="meta" type="application/json">(.*?)</script>', page, re.DOTALL)[1]
    points = re.search(r'<script id="points" type="text/plain">(.*?)</script>', page, re.DOTALL)[1]
    return json.loads(meta), gzip.decompress(base64.b64decode(points))


class Viewer:
    """An open page; ``problems`` is what the console said, ``requests`` what was loaded."""

    def __init__(self, browser: Any, path: Path, options: dict[str, Any] = DESKTOP, link: str = "", script: str = ""):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.problems, self.requests = [], []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        if script:
            self.page.add_init_script(script)
        self.page.goto(path.as_uri() + link)
        self.page.wait_for_selector("body[data-ready=true], body[data-failed=true]")

    def images(self) -> dict[str, np.ndarray]:
        """What every panel shows, (H, W, 3) of 0..255, once the camera rests; without its title and border."""
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.page.wait_for_selector("#stage[data-state=resting]")
        image = matplotlib.image.imread(BytesIO(self.page.screenshot(scale="css")))[..., :3] * 255
        images = {}
        for panel in self.page.query_selector_all(".panel:visible"):
            box = {key: round(value) for key, value in panel.bounding_box().items()}
            part = image[box["y"] : box["y"] + box["height"], box["x"] : box["x"] + box["width"]]
            images[panel.query_selector("h3").inner_text()] = part[40:-4, 4:-4].round().astype(int)
        return images

    def click(self, title: str, x: float, y: float) -> list[list[str]]:
        """Click at a place of a panel, in shares of its size; the rows of the table of the point."""
        box = self.page.query_selector(f'.panel:has-text("{title}")').bounding_box()
        self.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        return self.rows()

    def rows(self) -> list[list[str]]:
        """The rows of the table of the point."""
        rows = self.page.query_selector_all("#picked tr:visible")[1:]
        return [[cell.inner_text().strip() for cell in row.query_selector_all("td")] for row in rows]

    def link(self) -> dict[str, str]:
        """The view that the address keeps."""
        self.page.wait_for_selector("body[data-link=current]")
        link = self.page.evaluate("location.hash.slice(1)")
        return dict(part.split("=") for part in link.split("&")) if link else {}

    def camera(self) -> tuple[np.ndarray, np.ndarray]:
        """Eye and target in the frame of the scene, meters."""
        link = self.link()
        return np.array(link["eye"].split(","), float), np.array(link["target"].split(","), float)

    def touch(self, *paths: tuple[tuple[float, float], tuple[float, float]], steps: int = 6) -> None:
        """Move a finger along each of ``paths``, from and to pixels of the page."""
        session = self.context.new_cdp_session(self.page)
        for i in range(steps + 1):
            points = [
                {"x": a[0] + (b[0] - a[0]) * i / steps, "y": a[1] + (b[1] - a[1]) * i / steps, "id": number}
                for number, (a, b) in enumerate(paths)
            ]
            kind = "touchMove" if i else "touchStart"
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def close(self) -> None:
        """Close the page, which must have had nothing to complain about."""
        assert self.problems == []
        self.context.close()


def drawn(image: np.ndarray) -> np.ndarray:
    """(H, W) bool: where there are points."""
    return (image < 250).any(2)


def share(image: np.ndarray, color: np.ndarray) -> float:
    """Of what is drawn, how much has a color."""
    return (np.abs(image - color).max(2) <= 2).sum() / drawn(image).sum()


def color_of(scene: SegmentedScene, name: str) -> np.ndarray:
    return scene.palette[SPACE.names.index(name)]
