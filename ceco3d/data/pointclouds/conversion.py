"""Formats that are not read, and how to convert them."""

from __future__ import annotations

from pathlib import Path

CLOUDCOMPARE = "convert it to .ply with CloudCompare (`CloudCompare -SILENT -O FILE -C_EXPORT_FMT PLY -SAVE_CLOUDS`)"
SPLAT = "save it as an uncompressed .ply with SuperSplat or `splat-transform`"
UNPACK = "unpack it and pass the scan in it"
BLENDER = "save it as .glb with Blender"
ARRAYS = "save its points with numpy.save as .npy"
HOW = {
    ".ptx": CLOUDCOMPARE,
    **dict.fromkeys((".drc",), "decode it with Draco's `draco_decoder -i FILE -o scan.ply`"),
    **dict.fromkeys((".spz", ".splat", ".ksplat", ".sog"), SPLAT),
    **dict.fromkeys((".zip", ".gz", ".7z", ".rar", ".tar", ".tgz", ".bz2", ".xz", ".zst"), UNPACK),
    **dict.fromkeys(
        (".fbx", ".dae", ".3ds", ".blend", ".usd", ".usda", ".usdc", ".usdz", ".3mf", ".x3d", ".wrl"), BLENDER
    ),
    **dict.fromkeys((".rcp", ".rcs"), "export it as .e57 with Autodesk ReCap"),
    **dict.fromkeys((".fls", ".lsproj"), "export it as .e57 with FARO SCENE"),
    **dict.fromkeys((".rdbx", ".zfs", ".ptg", ".cl3", ".clr", ".imp", ".vtk", ".vtp"), CLOUDCOMPARE),
    **dict.fromkeys(
        (".bag", ".mcap", ".pcap", ".db3"), "export its clouds as .pcd, for example with `pcl_ros bag_to_pcd`"
    ),
    **dict.fromkeys((".h5", ".hdf5", ".mat", ".pkl", ".pth", ".pt", ".parquet", ".feather"), ARRAYS),
    **dict.fromkeys((".xls", ".xlsx", ".ods"), "save the table as .csv"),
    **dict.fromkeys((".tif", ".tiff", ".png", ".jpg", ".jpeg", ".exr"), "an image has no points: pass a point cloud"),
}
KITTI = (
    "it has no header that says what its columns are; if they are x, y, z, intensity in float32, as in KITTI: "
    "np.save('scan.npy', np.fromfile('FILE', np.float32).reshape(-1, 4)), then columns=[x,y,z,intensity]"
)


def how_to_convert(path: Path) -> str | None:
    """What to do with a file that is not read; None for unknown formats."""
    if path.suffix.lower() != ".bin":
        return HOW.get(path.suffix.lower())
    try:
        with path.open("rb") as file:
            own = file.read(3) == b"CCB"
    except OSError:
        own = False
    return f"CloudCompare's own format: {CLOUDCOMPARE}" if own else KITTI
