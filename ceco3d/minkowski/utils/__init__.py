"""``MinkowskiEngine.utils``: quantization of coordinates, collation, initial values, a summary of a network."""

from ceco3d.minkowski.utils.collation import (
    SparseCollation,
    batch_sparse_collate,
    batched_coordinates,
    sparse_collate,
)
from ceco3d.minkowski.utils.init import kaiming_normal_
from ceco3d.minkowski.utils.quantization import (
    fnv_hash_vec,
    quantize,
    quantize_label,
    ravel_hash_vec,
    sparse_quantize,
    unique_coordinate_map,
)
from ceco3d.minkowski.utils.summary import summary

__all__ = [
    "SparseCollation",
    "batch_sparse_collate",
    "batched_coordinates",
    "fnv_hash_vec",
    "kaiming_normal_",
    "quantize",
    "quantize_label",
    "ravel_hash_vec",
    "sparse_collate",
    "sparse_quantize",
    "summary",
    "unique_coordinate_map",
]
