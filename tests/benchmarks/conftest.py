"""Fixtures for the benchmark tests."""

import gc

import pytest


@pytest.fixture(autouse=True)
def small_heap():
    """Hide the objects of earlier tests from the garbage collector, which every timed run calls."""
    gc.freeze()
    yield
    gc.unfreeze()
