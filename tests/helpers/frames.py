"""Frames on disk."""

from pathlib import Path

import numpy as np
import torch


def write_frames(root: Path, kind: str) -> dict[str, np.ndarray]:
    """Three frames of one bumpy sheet and their list, as CSC or Pointcept write them."""
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(0, 3, 0.03), np.arange(0, 2, 0.03)))
    sheet = np.stack([x, y, 0.2 * np.sin(3 * x + y)], axis=1)
    folder = root / "scene0000_00" / "pcd"
    folder.mkdir(parents=True)
    points, lines = {}, []
    for name, low in (("0", 0.0), ("25", 0.5), ("50", 1.9)):
        part = sheet[(sheet[:, 0] >= low) & (sheet[:, 0] < low + 1.1)]
        points[name] = np.column_stack([part, np.arange(len(part))[:, None] % [256, 251, 241], np.zeros(len(part))])
        if kind == "csc":
            np.savez(folder / f"{name}.npz", pcd=points[name])
        else:
            color = points[name][:, 3:6].astype(np.uint8)
            torch.save({"coord": points[name][:, :3], "color": color}, folder / f"{name}.pth")
    suffix, slash = ("npz", "") if kind == "csc" else ("pth", "/")
    for a, b, overlap in (("0", "25", 0.55), ("0", "50", 0.0), ("25", "50", 0.1)):
        lines.append(f"{slash}scene0000_00/pcd/{a}.{suffix} {slash}scene0000_00/pcd/{b}.{suffix} {overlap}")
    listed = root / "splits/overlap30.txt" if kind == "csc" else folder / "overlap.txt"
    listed.parent.mkdir(exist_ok=True)
    listed.write_text("\n".join(lines) + "\n")
    return points
