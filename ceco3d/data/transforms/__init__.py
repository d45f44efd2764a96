"""Augmentation and voxelization of a Scene, on any device.

Each module has pure functions with explicit parameters, and frozen dataclasses that draw these parameters and call the
functions. The dataclasses are the transforms named in ``conf/transforms/*.yaml``. Any callable
``transform(scene, rng) -> scene`` works as well, see ``step.py``.
"""

from ceco3d.data.transforms.color import (
    ChromaticJitter,
    ChromaticTranslation,
    ColorDrop,
    RandomAutocontrast,
    autocontrast,
    chromatic_jitter,
    chromatic_translation,
)
from ceco3d.data.transforms.crop import PointDropout, SphereCrop, point_dropout, sphere_crop
from ceco3d.data.transforms.elastic import ElasticDistortion, elastic_distortion
from ceco3d.data.transforms.geometric import (
    CenterShift,
    PointJitter,
    RandomFlip,
    RandomRotation,
    RandomScale,
    center_shift,
    flip,
    jitter,
    rotate,
    rotation_matrix,
    scale,
)
from ceco3d.data.transforms.instances import (
    ObjectColorDrop,
    ObjectFlip,
    ObjectLabelDropout,
    ObjectRotation,
    ObjectScale,
    ObjectShift,
    ObjectSwap,
)
from ceco3d.data.transforms.mix import mix3d, mix_pairs
from ceco3d.data.transforms.paste import PasteInstances, paste
from ceco3d.data.transforms.step import Transform, Transforms
from ceco3d.data.transforms.voxelize import Voxels, voxelize

__all__ = [
    "CenterShift",
    "ChromaticJitter",
    "ChromaticTranslation",
    "ColorDrop",
    "ElasticDistortion",
    "ObjectColorDrop",
    "ObjectFlip",
    "ObjectLabelDropout",
    "ObjectRotation",
    "ObjectScale",
    "ObjectShift",
    "ObjectSwap",
    "PasteInstances",
    "PointDropout",
    "PointJitter",
    "RandomAutocontrast",
    "RandomFlip",
    "RandomRotation",
    "RandomScale",
    "SphereCrop",
    "Transform",
    "Transforms",
    "Voxels",
    "autocontrast",
    "center_shift",
    "chromatic_jitter",
    "chromatic_translation",
    "elastic_distortion",
    "flip",
    "jitter",
    "mix3d",
    "mix_pairs",
    "paste",
    "point_dropout",
    "rotate",
    "rotation_matrix",
    "scale",
    "sphere_crop",
    "voxelize",
]
