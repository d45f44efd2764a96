"""Make processed scenes of the scans of a layout, in parallel; scenes that are there and unchanged stay."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ceco3d.data.labels import LabelSpace
from ceco3d.data.scenes.processed import is_finished, remove_scene, remove_temporary, write_scene
from ceco3d.preprocessing.labeled.findings import Findings, examine, file_state, store_findings, stored_findings
from ceco3d.preprocessing.labeled.layout import Layout, RawScan
from ceco3d.preprocessing.labeled.points import Frame, to_arrays
from ceco3d.preprocessing.pipeline import locked_root, run_jobs
from ceco3d.utils import cluster
from ceco3d.utils.atomic import full_disk_ends, write_text
from ceco3d.utils.cluster_task import check_visible
from ceco3d.utils.errors import DiskFullError, UserError
from ceco3d.utils.parallel import run_parallel
from ceco3d.utils.progress import track
from ceco3d.utils.untrusted import read_json

logger = logging.getLogger(__name__)

FORMAT = 1  # of the arrays; increase it when the same scan would give others
MADE = ".made"  # folder of what each scene was made from


def examine_scans(layout: Layout, root: Path, workers: int) -> dict[RawScan, Findings]:
    """What every scan of a layout holds; scans examined before are not read again."""
    options = repr(layout)
    scans = layout.scans()
    stored = {scan: stored_findings(root, scan, options) for scan in scans}
    new = [scan for scan, found in stored.items() if found is None]
    found = {scan: findings for scan, findings in stored.items() if findings is not None}
    if new:
        jobs = run_parallel(partial(examine, layout=layout), new, cluster.current() or min(workers, len(new)))
        for scan, future in track(jobs, len(new), "checking scans"):
            found[scan] = future.result()
            store_findings(root, scan, options, found[scan])
    return {scan: found[scan] for scan in scans}


@dataclass(frozen=True)
class Made:
    """What was done for the scans of a layout: names made and already there, and (name, reason) of failures."""

    done: int
    skipped: int
    failed: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SceneMaker:
    """Makes one processed scene; picklable."""

    layout: Layout
    space: LabelSpace
    frame: Frame
    root: Path

    @property
    def options(self) -> str:
        """A hash of everything but the files that a scene depends on."""
        plain = self.space.to_plain()
        meaning = [plain[key] for key in ("array", "ids", "aliases", "ignored")] + [list(map(str, self.space.names))]
        content = json.dumps([FORMAT, repr(self.layout), repr(self.frame), meaning], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def target(self, scan: RawScan) -> Path:
        """The folder of the processed scene."""
        return self.root / scan.split / scan.name

    def is_made(self, scan: RawScan, labeled: bool) -> bool:
        """Whether the scene is there, complete, and made from these files with these options."""
        if not is_finished(self.target(scan), (self.space.array, "instance") if labeled else ()):
            return False
        with suppress(OSError, ValueError, TypeError, KeyError):
            stored = read_json(self._record(scan))
            return bool(stored["options"] == self.options and stored["files"] == file_state(scan))
        return False

    def __call__(self, scan: RawScan) -> str | None:
        """Make a scene; None, or why it cannot be made. DiskFullError if there is no room for it."""
        try:
            check_visible(*scan.files, self.root)
            state = file_state(scan)  # before reading: a change in the meantime makes the scene anew
            arrays = to_arrays(self.layout.read(scan), self.space, self.frame)
            record = json.dumps({"options": self.options, "files": state}) + "\n"
            with full_disk_ends(self.root):
                write_scene(self.target(scan), arrays, lambda: write_text(self._record(scan), record))
        except DiskFullError:
            raise
        except UserError as error:
            return str(error)
        except Exception as error:  # whatever is wrong with one scan must not stop the others
            return f"{type(error).__name__}: {' '.join(str(error).split())} ({scan.files[0]})"
        return None

    def _record(self, scan: RawScan) -> Path:
        return self.root / MADE / scan.split / f"{scan.name}.json"


def make_scenes(
    maker: SceneMaker, wanted: Mapping[RawScan, bool], known: Sequence[RawScan], workers: int, shard: tuple[int, int]
) -> Made:
    """Make the scenes that are missing or outdated, and remove those of the root whose scan is gone.

    wanted  the scans, and whether each has labels
    known   these and all others that may have scenes in the root, such as those of other splits
    shard   (i, n): only the i-th of n parts
    """
    part = list(wanted.items())[shard[0] - 1 :: shard[1]]
    pending = [scan for scan, has in part if not maker.is_made(scan, has)]
    outcomes: list[tuple[RawScan, str | None]] = []
    if pending or (shard == (1, 1) and _orphans(maker, known)):
        with locked_root(maker.root, shard):
            if shard == (1, 1):
                if cluster.current() is None:  # they may belong to another running machine
                    remove_temporary(maker.root)
                for folder in _orphans(maker, known):
                    logger.info(f"{folder}: removed, its scan is no longer in this split")
                    remove_scene(folder)
            pending = [scan for scan, has in part if not maker.is_made(scan, has)]
            outcomes = list(track(run_jobs(maker, pending, workers), len(pending), "preprocessing"))
    failed = sorted((scan.name, reason) for scan, reason in outcomes if reason)
    return Made(len(outcomes) - len(failed), len(part) - len(outcomes), tuple(failed))


def _orphans(maker: SceneMaker, scans: Sequence[RawScan]) -> list[Path]:
    """Scenes that were made here from scans that are no longer in the split."""
    wanted = {maker.target(scan) for scan in scans}
    records = sorted((maker.root / MADE).glob("*/*.json"))
    made = [maker.root / record.parent.name / record.stem for record in records]
    return [folder for folder in made if folder not in wanted and folder.is_dir()]
