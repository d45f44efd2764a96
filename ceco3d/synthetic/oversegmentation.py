"""Over-segmentation of a scan: connected pieces of one object that face the same way."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ceco3d.synthetic.scanner import ScanMesh

MIN_VERTICES = 20  # segMinVerts of ScanNet's Segmentator


def oversegment(mesh: ScanMesh) -> np.ndarray:
    """(N,) int64 segment of every vertex. A segment's id is the index of its first vertex.

    A segment is a connected part of one object whose surface faces along the same axis. Pieces of fewer than
    MIN_VERTICES vertices join the largest piece of their object: no segment spans two objects, and only an object that
    is smaller itself has a smaller segment.
    """
    count = len(mesh.instance)
    surface = mesh.instance * 6 + mesh.side
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    edges = edges[surface[edges[:, 0]] == surface[edges[:, 1]]]
    graph = coo_matrix((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, piece = connected_components(graph, directed=False)
    size = np.bincount(piece)
    instance = np.zeros(len(size), int)
    instance[piece] = mesh.instance
    largest = np.zeros(instance.max() + 1, int)
    order = np.argsort(size, kind="stable")
    largest[instance[order]] = order  # the last assignment, of the largest piece, wins
    piece = np.where(size < MIN_VERTICES, largest[instance], np.arange(len(size)))[piece]
    first = np.full(len(size), count)
    np.minimum.at(first, piece, np.arange(count))
    return first[piece]
