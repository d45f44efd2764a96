"""Check labeled scans before scenes are made of them: what is there, what is wrong, what looks wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ceco3d.data.labels import LabelSpace
from ceco3d.data.pointclouds.axes import METERS
from ceco3d.preprocessing.label_report import names_of
from ceco3d.preprocessing.labeled.classes import count_points, count_scans, unknown_labels
from ceco3d.preprocessing.labeled.findings import Findings
from ceco3d.preprocessing.labeled.layout import SPLITS, RawScan
from ceco3d.utils.errors import UserError

SHOWN = 5  # unknown labels in an error
SIZES = (0.3, 20_000.0)  # meters: the usual longest side of a scan
SPACING = 2.0  # meters: points are seldom farther apart
VOXELS = (0.3, 30.0)  # of a voxel, in spacings of points: finer ones are no neighbors, coarser ones lose the shape


@dataclass(frozen=True)
class Check:
    """The scans of a data set with what was found in each.

    unit        of the files
    voxel_size  meters, that the data set is to be used with
    left_out    scans that are in no split
    """

    scans: Mapping[RawScan, Findings]
    space: LabelSpace
    unit: str
    voxel_size: float
    left_out: Sequence[str] = ()

    def of(self, split: str) -> list[Findings]:
        """The findings of one split, without unreadable scans."""
        return [found for scan, found in self.scans.items() if scan.split == split and not found.error]

    def failed(self) -> list[tuple[str, str]]:
        """(name, reason) of the scans that cannot be read."""
        return [(scan.name, found.error) for scan, found in self.scans.items() if found.error]

    def unlabeled(self, split: str) -> list[str]:
        """Names of readable scans of a split that have no labels."""
        return [s.name for s, found in self.scans.items() if s.split == split and not found.error and not found.labeled]

    def refuse(self, classes: Path | str) -> None:
        """UserError for labels that are neither classes nor ignored, and if no training scan has labels."""
        readable = [found for found in self.scans.values() if not found.error]
        unknown = unknown_labels(self.space, readable)
        if unknown:
            listed = ", ".join(f"{raw} ({count:,} points)" for raw, count in list(unknown.items())[:SHOWN])
            more = f", and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
            raise UserError(
                f"{classes}: {sum(unknown.values()):,} points have {len(unknown)} labels that are no class: "
                f"{listed}{more}; add them, or give them the group ignored"
            )
        train = self.of("train")
        if train and not any(count_points(self.space, train)):
            raise UserError(
                f"none of the {len(train)} training scans has labels of a class: name their column, or the ending of "
                "the files beside the scans, with dataset.labels="
            )

    def rows(self) -> list[tuple[str, str, str]]:
        """What was checked, what was found, and a remark where something looks wrong."""
        everything = [found for found in self.scans.values() if not found.error]
        points = sum(found.points for found in everything)
        labeled = [found for found in everything if found.labeled]
        with_class = sum(count_points(self.space, labeled))
        without = sum(found.points for found in labeled) - with_class
        seen = sum(count > 0 for count in count_scans(self.space, everything))
        bare = [name for split in SPLITS for name in self.unlabeled(split)]
        unusable = sum(found.unusable for found in everything)
        missing = [n for n, c in zip(self.space.names, count_scans(self.space, self.of("train")), strict=True) if not c]
        rows = [
            ("scans", self._per_split(), f"in no split: {names_of(self.left_out)}" if self.left_out else ""),
            ("points", f"{points:,}", f"{unusable:,} not usable (NaN, or far from all others)" if unusable else ""),
            ("classes seen", f"{seen} of {len(self.space)}", f"not in train: {names_of(missing)}" if missing else ""),
            ("points without a class", _share(without, with_class + without), ""),
            ("scans without labels", str(len(bare)), names_of(bare)),
            ("scans with colors", f"{sum(f.color for f in everything)} of {len(everything)}", ""),
            ("... normals", f"{sum(f.normal for f in everything)} of {len(everything)}", ""),
            ("... intensity", f"{sum(f.intensity for f in everything)} of {len(everything)}", ""),
            ("duplicates", *self._duplicates()),
            ("longest side", *self._sizes(everything)),
            ("point spacing", *self._spacing(everything)),
        ]
        return rows

    def class_rows(self) -> list[tuple[str, ...]]:
        """Id, name, group, then points and scans of each class in every split."""
        group_of = {k: group for group, members in self.space.groups.items() for k in members}
        columns = [(count_points(self.space, self.of(s)), count_scans(self.space, self.of(s))) for s in SPLITS[:2]]
        return [
            (str(number), name, group_of.get(k, "-"), *(f"{c[k]:,}" for pair in columns for c in pair))
            for k, (number, name) in enumerate(zip(self.space.ids, self.space.names, strict=True))
        ]

    def _per_split(self) -> str:
        counts = {split: sum(scan.split == split for scan in self.scans) for split in SPLITS}
        return ", ".join(f"{split} {count}" for split, count in counts.items())

    def _duplicates(self) -> tuple[str, str]:
        same: dict[str, list[RawScan]] = defaultdict(list)
        for scan, found in self.scans.items():
            if not found.error:
                same[found.content].append(scan)
        groups = [scans for scans in same.values() if len(scans) > 1]
        across = [g for g in groups if len({scan.split for scan in g}) > 1]
        named = ["=".join(f"{scan.split}/{scan.name}" for scan in g) for g in across or groups]
        leak = "in several splits, so scores are of seen scans: " if across else ""
        return str(len(groups)), leak + names_of(named) if named else ""

    def _sizes(self, found: Sequence[Findings]) -> tuple[str, str]:
        sides = sorted(max(f.size) * METERS[self.unit] for f in found)
        if not sides:
            return "-", ""
        wrong = [side for side in sides if not SIZES[0] <= side <= SIZES[1]]
        remark = f"{len(wrong)} scans of unusual size: check dataset.unit={self.unit}" if wrong else ""
        return f"{sides[0]:.4g} to {sides[-1]:.4g} m", remark

    def _spacing(self, found: Sequence[Findings]) -> tuple[str, str]:
        steps = sorted(f.spacing * METERS[self.unit] for f in found)
        if not steps:
            return "-", ""
        middle = steps[len(steps) // 2]
        remark = ""
        if middle > SPACING:
            remark = f"far apart: check dataset.unit={self.unit}"
        elif middle and not VOXELS[0] <= self.voxel_size / middle <= VOXELS[1]:
            remark = f"voxels of {self.voxel_size:g} m hardly fit: try voxel_size={_round(2 * middle):g}"
        return f"{middle:.3g} m (median)", remark


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / whole:.1f} %)" if whole else "0"


def _round(value: float) -> float:
    return float(f"{value:.1g}")
