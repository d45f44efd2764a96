"""Over-segmentation of a scan: connected, evenly facing pieces of one object."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ceco3d.synthetic.scanner import Mesh

MIN_VERTICES = 20  # ScanNet's segmentator: segMinVerts


def oversegment(mesh: Mesh) -> np.ndarray:
    """(N,) int64 segment of every vertex, named by the index of its first vertex.

    A segment is a connected set of faces of one object that look along the same axis. Pieces below MIN_VERTICES join
    the largest piece of their object, so every segment is pure and only whole objects can be smaller.
    """
    count = len(mesh.owner)
    kind = mesh.owner * 6 + mesh.side
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    edges = edges[kind[edges[:, 0]] == kind[edges[:, 1]]]
    graph = coo_matrix((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, piece = connected_components(graph, directed=False)
    size = np.bincount(piece)
    owner = np.zeros(len(size), int)
    owner[piece] = mesh.owner
    largest = np.zeros(owner.max() + 1, int)
    order = np.argsort(size, kind="stable")
    largest[owner[order]] = order  # the last assignment, the largest piece, stays
    piece = np.where(size < MIN_VERTICES, largest[owner], np.arange(len(size)))[piece]
    first = np.full(len(size), count)
    np.minimum.at(first, piece, np.arange(count))
    return first[piece]
