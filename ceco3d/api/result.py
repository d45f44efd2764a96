"""The labels of one scan."""

from __future__ import annotations

import html
import tempfile
import webbrowser
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ceco3d.data.labels import LabelSpace
from ceco3d.inference.labeled_scan import LabeledScan
from ceco3d.utils.atomic import whole_file, write_bytes, write_text
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import NotSupportedError, one_line
from ceco3d.visualization.page import viewer_page
from ceco3d.visualization.scan_page import segmented, thinned

NO_LABEL = "no label"


class Result:
    """Labels of the N points of a scan, in its order.

    Points without finite coordinates, and outliers, have no label: the id ``space.unlabeled``, the name "no label" and
    confidence 0.
    """

    def __init__(self, labeled: LabeledScan) -> None:
        self._labeled = labeled

    def __len__(self) -> int:
        return len(self._labeled.scan)

    def __repr__(self) -> str:
        found, mean = len(self.classes()), self._labeled.mean_confidence
        return f"Result({len(self):,} points, {found} classes, mean confidence {mean:.2f})"

    @property
    def space(self) -> LabelSpace:
        """The label space: ids, names and colors of all classes."""
        return self._labeled.space

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) int32 raw ids of the classes, as ``label`` in the files."""
        return self._labeled.ids

    @cached_property
    def names(self) -> np.ndarray:
        """(N,) names of the classes, as Python strings: ``points[result.names == "chair"]``."""
        known = np.array([*self.space.names, NO_LABEL], object)
        index = np.full(len(self), -1)
        index[self._labeled.usable] = self._labeled.labels
        names: np.ndarray = known[index]
        return names

    @cached_property
    def confidence(self) -> np.ndarray:
        """(N,) float32 probability of each label."""
        values = np.zeros(len(self), np.float32)
        values[self._labeled.usable] = self._labeled.confidence
        return values

    @property
    def warnings(self) -> list[str]:
        """What was missing or unusual in the scan, one line each; also logged."""
        return list(self._labeled.warnings)

    def classes(self) -> list[dict[str, Any]]:
        """The classes that occur, most points first: name, id, points, share, area_m2, confidence (mean)."""
        return self._labeled.classes()

    def show(self) -> Path:
        """Open the viewer in a browser; returns the page, a file in the folder for temporary files."""
        page = Path(tempfile.mkdtemp(prefix="ceco3d-")) / "labels.html"
        self.save(page)
        webbrowser.open(page.as_uri())
        return page

    def _repr_html_(self) -> str:
        """The viewer, where a notebook shows the result."""
        page = html.escape(viewer_page(segmented(self._labeled, "scan")))
        return f'<iframe srcdoc="{page}" style="width:100%;height:560px;border:0" title="labeled scan"></iframe>'

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the labeled scan; returns the path.

        .ply         the scan in the colors of the classes, with ``label`` and ``confidence``
        .html, .png  the viewer's page, a picture (which needs matplotlib)
        the suffix of the file that was read (.las, .pcd, .csv, ...): a copy of it, with label and confidence

        UserError for other suffixes, the path of the scan itself, and files that cannot be written.
        """
        path = Path(path).expanduser()
        own, kind = self._labeled.copy_suffix, path.suffix.lower()
        kinds = list(dict.fromkeys([".ply", ".html", ".png", *([own.lower()] if own else [])]))
        if kind not in kinds:
            raise UserError(f"{path}: cannot be written in this format; choose one of {', '.join(kinds)}")
        source = self._labeled.path
        if source is not None and path.exists() and source.exists() and path.samefile(source):
            raise UserError(f"{path}: is the scan itself and would be replaced; choose another name")
        try:
            self._write(path, kind)
        except NotSupportedError as error:
            raise UserError(f"{path}: cannot be written ({one_line(error)}); save it as .ply") from None
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None
        return path

    def _write(self, path: Path, kind: str) -> None:
        if kind == ".html":
            write_text(path, viewer_page(segmented(self._labeled, path.stem)))
        elif kind == ".png":
            try:
                from ceco3d.visualization.picture import scene_picture
            except ModuleNotFoundError as error:
                raise UserError(f"{path}: pictures need {error.name}: pip install 'ceco3d[plot]'") from error
            write_bytes(path, scene_picture(thinned(segmented(self._labeled, path.stem))))
        else:
            with whole_file(path) as file:
                if kind == ".ply":
                    self._labeled.write_ply(file)
                else:
                    self._labeled.write_copy(file)
