#!/usr/bin/env python
"""scripts/large_scan_test.py [POINTS]: the memory that an airborne scan of POINTS (50000000) needs, docs/scale.md.

Makes a LAZ tile of four classes with 12.5 points per square meter and a small one for validation in outputs/large-scan,
preprocesses both and trains on their blocks for one epoch, about POINTS / 2 million steps. Prints the time of each
command and the peak memory of its processes: PSS, which counts shared pages once, with the pages of mapped files, which
the system can drop, and without.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path("outputs/large-scan")
DENSITY = 12.5  # points per square meter
CHUNK = 2_000_000
ORIGIN = np.array([450_000.0, 5_400_000.0, 0.0])
CLASSES = {"ground": 2, "high vegetation": 5, "building": 6, "road": 11}
INTENSITY = {2: 9_000, 5: 30_000, 6: 45_000, 11: 15_000}
DATA = ["dataset=folder", "dataset.name=tile", f"dataset.root={ROOT}/processed"]
TRAINING = ["model=minkunet14a", "voxel_size=0.8", "features=[coord,intensity]", "loss=ce", "trainer.batch_size=4"]
TRAINING += ["trainer.epochs=1", "trainer.validate_every=1"]


def write_tile(path: Path, points: int, seed: int) -> None:
    """A LAZ file of hills with fields of vegetation, buildings and roads, in the order of flight."""
    import laspy

    rng = np.random.default_rng(seed)
    header = laspy.LasHeader(point_format=6, version="1.4")
    header.scales, header.offsets = [0.001] * 3, ORIGIN
    edge = (points / DENSITY) ** 0.5
    with laspy.open(path, "w", header=header) as file:
        for start in range(0, points, CHUNK):
            count = min(CHUNK, points - start)
            x = rng.uniform(0, edge, count)
            y = rng.uniform(start / points * edge, (start + count) / points * edge, count)
            z = 5 * np.sin(x / 80) + 3 * np.cos(y / 60) + rng.normal(0, 0.03, count)
            field = (x // 20 * 7 + y // 20 * 13).astype(int) % 11
            label = np.select([field == 3, field == 5, field == 7], [6, 5, 11], 2)
            z += np.select([label == 6, label == 5], [8.0, rng.uniform(0, 6, count)], 0.0)
            record = laspy.ScaleAwarePointRecord.zeros(count, header=header)
            record.x, record.y, record.z = x + ORIGIN[0], y + ORIGIN[1], z
            record.classification = label.astype(np.uint8)
            mean = np.array([INTENSITY.get(number, 0) for number in range(12)])[label]
            record.intensity = np.clip(rng.normal(mean, 2_000), 0, 65_535).astype(np.uint16)
            file.write_points(record)


def memory(session: int) -> tuple[int, int]:
    """PSS and anonymous memory of the processes of a session, KiB."""
    total, anonymous = 0, 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[3]) != session:
                continue
            rollup = (stat.parent / "smaps_rollup").read_text()
        except OSError:
            continue  # it has ended
        found = {key: int(kib) for key, kib in re.findall(r"(\w+): +(\d+) kB", rollup)}
        total += found.get("Pss", 0)
        anonymous += found.get("Anonymous", 0)
    return total, anonymous


def measure(command: str, *arguments: str) -> None:
    """Run a command and print its time and the peak memory of its processes."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", f"ceco3d.{command}", *arguments], start_new_session=True)
    peaks = (0, 0)
    while process.poll() is None:
        peaks = tuple(map(max, peaks, memory(process.pid)))
        time.sleep(0.2)
    if process.returncode:
        sys.exit(f"{command} failed")
    total, anonymous = (kib / 2**20 for kib in peaks)
    seconds = time.perf_counter() - started
    print(f"{command}: {seconds:.0f} s, peak memory {total:.2f} GiB, {anonymous:.2f} without mapped files", flush=True)


def main() -> None:
    """Make the tiles where they are missing; preprocess and train anew."""
    points = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000_000
    raw = ROOT / f"raw-{points}"
    for path, count, seed in ((raw / "train/tile.laz", points, 0), (raw / "val/tile.laz", 600_000, 1)):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_tile(ROOT / "part.laz", count, seed)
            (ROOT / "part.laz").rename(path)
    lines = [f"{number},{name}\n" for name, number in CLASSES.items()]
    (raw / "classes.csv").write_text("id,name\n" + "".join(lines))
    shutil.rmtree(ROOT / "processed", ignore_errors=True)
    measure("preprocess", *DATA, f"dataset.raw={raw}", "workers=2")
    measure("train", *DATA, "dataset.raw=null", *TRAINING)


if __name__ == "__main__":
    main()
