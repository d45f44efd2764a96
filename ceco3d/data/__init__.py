"""Scenes on disk to batches of voxels for a network.

from ceco3d.data import Collate, SceneDataset, make_loader
from ceco3d.data.labels import label_space

dataset = SceneDataset(["data/rooms200/val/scene0000_00"], label_space("scannet200"))
for batch in make_loader(dataset, Collate(voxel_size=0.05, features=["color"])):
    print(batch.coordinates.shape, batch.features.shape)
"""

from typing import TYPE_CHECKING

from ceco3d.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from ceco3d.data.batch import Batch as Batch
    from ceco3d.data.batch import feature_channels as feature_channels
    from ceco3d.data.batch import make_batch as make_batch
    from ceco3d.data.batch import point_features as point_features
    from ceco3d.data.collate import Collate as Collate
    from ceco3d.data.dataset import Sample as Sample
    from ceco3d.data.dataset import SceneDataset as SceneDataset
    from ceco3d.data.joint import JointDataset as JointDataset
    from ceco3d.data.joint import PartTransforms as PartTransforms
    from ceco3d.data.loader import make_loader as make_loader
    from ceco3d.data.sampler import SceneSampler as SceneSampler
    from ceco3d.data.sampler import VoxelCap as VoxelCap
    from ceco3d.data.sampler import count_voxels as count_voxels
    from ceco3d.data.seeded import SeededDataset as SeededDataset

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "batch": ("Batch", "feature_channels", "make_batch", "point_features"),
        "collate": ("Collate",),
        "dataset": ("Sample", "SceneDataset"),
        "joint": ("JointDataset", "PartTransforms"),
        "loader": ("make_loader",),
        "seeded": ("SeededDataset",),
        "sampler": ("SceneSampler", "VoxelCap", "count_voxels"),
    },
)
