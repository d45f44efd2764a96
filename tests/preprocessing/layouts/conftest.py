"""Scans of a few points are read in threads: a process would take seconds to start."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ceco3d.utils import parallel


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    monkeypatch.setattr(parallel, "_executor", ThreadPoolExecutor)
