"""Run files of MinkowskiEngine's tests in this process and write what came out, test by test, as lines of JSON.

``python run_tests.py ENGINE SECONDS OUT.jsonl FILE...``; ENGINE is ceco3d or MinkowskiEngine.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest


def use(engine: str) -> None:
    """Make ``import MinkowskiEngine`` give ``engine``."""
    if engine == "ceco3d":
        from ceco3d.minkowski.program import install

        install()
    else:
        from ceco3d.sparse import minkowski

        assert Path(minkowski.ME.__file__).parent.name == "MinkowskiEngine"


class Outcomes:
    """Collects what pytest reports; ends a test after ``seconds``."""

    def __init__(self, seconds: int, out: Path) -> None:
        self.seconds, self.out = seconds, out
        signal.signal(signal.SIGALRM, self._end)

    def _end(self, *_: Any) -> None:
        raise TimeoutError(f"took more than {self.seconds} s")

    def _note(self, report: Any, outcome: str) -> None:
        with self.out.open("a") as file:
            file.write(json.dumps([report.nodeid, outcome, _last_line(report.longreprtext)]) + "\n")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self) -> Any:
        """Set the alarm around each test."""
        signal.alarm(self.seconds)
        yield
        signal.alarm(0)

    def pytest_collectreport(self, report: Any) -> None:
        """Note a file that cannot be imported."""
        if report.failed:
            self._note(report, "not collected")

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note how a test ended."""
        if report.when == "call" or report.failed:
            self._note(report, report.outcome)


def _last_line(text: str) -> str:
    lines = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    return next((line for line in reversed(lines) if line), "")[:200]


if __name__ == "__main__":
    engine, seconds, out, *files = sys.argv[1:]
    use(engine)
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", "-o", "python_files=*.py"]
    options += ["--rootdir", ".", "-W", "ignore", "--continue-on-collection-errors"]
    sys.exit(pytest.main([*options, *files], plugins=[Outcomes(int(seconds), Path(out))]))
