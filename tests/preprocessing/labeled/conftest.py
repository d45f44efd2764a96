"""Fixtures for the tests of labeled scans."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

import pytest

from ceco3d.preprocessing.labeled import pipeline
from tests.helpers.commands import Outcome


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch) -> None:
    """Read scans and make scenes in this process: starting workers takes longer than all scans here."""

    def run_parallel(function, jobs, workers):
        for job in jobs:
            future = Future()
            future.set_result(function(job))
            yield job, future

    monkeypatch.setattr(pipeline, "run_parallel", run_parallel)
    monkeypatch.setattr(pipeline, "run_jobs", lambda function, jobs, workers: ((job, function(job)) for job in jobs))


@pytest.fixture
def preprocess(run_command, tmp_path) -> Callable[..., Outcome]:
    """Run ``python -m ceco3d.preprocess dataset=folder`` on ``raw`` with the root ``done``, both in ``tmp_path``."""

    def run(*arguments: str) -> Outcome:
        given = ["dataset=folder", f"dataset.raw={tmp_path}/raw", f"dataset.root={tmp_path}/done", *arguments]
        return run_command("preprocess", *given)

    return run
