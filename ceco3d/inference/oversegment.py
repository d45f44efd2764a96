"""An over-segmentation of a mesh or point cloud by the directions of its normals, as ScanNet's segments are made.

Graph-based segmentation (Felzenszwalb and Huttenlocher, IJCV 2004) with the edge weights, threshold and smallest size
of ScanNet's Segmentator: 1 - n_a . n_b, squared across convex edges; k = 0.01; 20 vertices. The vertex normals are ours
(weighted by area), and where there are no faces the edges go to the nearest neighbors.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ceco3d.data.pointclouds.normals import vertex_normals
from ceco3d.data.scenes.normals import estimate_normals, has_normals

THRESHOLD = 0.01  # kThr of ScanNet's Segmentator
FEWEST = 20  # its segMinVerts
NEIGHBORS = 8  # without faces


def oversegment(coord: np.ndarray, faces: np.ndarray | None = None, normal: np.ndarray | None = None) -> np.ndarray:
    """(N,) int64 segment of every point, 0..S-1 in the order of their first points.

    coord   (N, 3), finite
    faces   (F, 3) triangles, whose edges connect points and whose normals count; None or empty: nearest neighbors
    normal  (N, 3) for points without faces; None: estimated
    """
    if faces is not None and len(faces):
        normal = vertex_normals(coord, faces)
        edges = _unique(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]))
    else:
        normal = normal if normal is not None and has_normals(normal) else estimate_normals(coord)
        edges = neighbor_edges(coord)
    return merge(edges, edge_weights(coord, normal, edges), len(coord))


def neighbor_edges(coord: np.ndarray) -> np.ndarray:
    """(E, 2) int64: each point of (N, 3) with its nearest NEIGHBORS, every pair once."""
    count = min(NEIGHBORS, len(coord) - 1)
    if count < 1:
        return np.zeros((0, 2), np.int64)
    _, index = cKDTree(coord).query(coord, k=[*range(1, count + 2)], workers=-1)
    own = np.repeat(np.arange(len(coord)), count + 1)
    return _unique(np.stack([own, index.reshape(-1)], axis=1))


def edge_weights(coord: np.ndarray, normal: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(E,) float64: 1 - cosine of the normals, squared where the second normal points away from the first point."""
    a, b = edges.T
    weight = 1 - np.einsum("ij,ij->i", normal[a], normal[b]).astype(np.float64)
    convex = np.einsum("ij,ij->i", normal[b], coord[b] - coord[a]) > 0
    return np.where(convex, weight**2, weight)


def merge(
    edges: np.ndarray, weight: np.ndarray, count: int, threshold: float = THRESHOLD, fewest: int = FEWEST
) -> np.ndarray:
    """(count,) int64 segments of a graph with ``edges`` (E, 2) and their ``weight`` (E,).

    From the lightest edge on, two segments are joined if the edge weighs no more than the heaviest edge within each
    plus ``threshold`` over its size. Then segments below ``fewest`` points join a neighbor.
    """
    order = np.argsort(weight, kind="stable")
    first, second, weights = (values[order].tolist() for values in (edges[:, 0], edges[:, 1], weight))
    parent, size, limit = list(range(count)), [1] * count, [threshold] * count

    def root(point: int) -> int:
        while parent[point] != point:
            parent[point] = parent[parent[point]]
            point = parent[point]
        return point

    def join(a: int, b: int) -> int:
        a, b = (a, b) if size[a] >= size[b] else (b, a)
        parent[b] = a
        size[a] += size[b]
        return a

    for a, b, heaviness in zip(first, second, weights, strict=True):
        a, b = root(a), root(b)
        if a != b and heaviness <= limit[a] and heaviness <= limit[b]:
            whole = join(a, b)
            limit[whole] = heaviness + threshold / size[whole]
    for a, b in zip(first, second, strict=True):
        a, b = root(a), root(b)
        if a != b and min(size[a], size[b]) < fewest:
            join(a, b)
    roots = np.array([root(point) for point in range(count)], np.int64)
    _, start, segment = np.unique(roots, return_index=True, return_inverse=True)
    rank = np.empty(len(start), np.int64)
    rank[np.argsort(start)] = np.arange(len(start))
    return rank[segment.reshape(-1)]


def _unique(edges: np.ndarray) -> np.ndarray:
    """Each pair of different points once, the smaller one first."""
    edges = np.sort(edges[edges[:, 0] != edges[:, 1]].astype(np.int64), axis=1)
    if not len(edges):
        return edges
    keys = np.unique(edges[:, 0] * (edges.max() + 1) + edges[:, 1])
    return np.stack(np.divmod(keys, edges.max() + 1), axis=1)
