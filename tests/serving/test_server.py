"""The server as users start it: a process of its own, real HTTP, a real network, a browser."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
import httpx

import ceco3d
from ceco3d.data.pointclouds.ply_write import write_ply
from tests.helpers.viewer import CHROMIUM, PHONE, SOFTWARE_GL
from tests.helpers.weights import write_weights

WAIT = 300.0  # seconds, of a machine with much else to do
MAX_BYTES, MAX_POINTS = 100_000, 3000
STEADY = 30e6  # bytes by which the memory of both processes may differ after many scans
POINTS = 1000


class Server:
    """``python -m ceco3d.serve`` with a folder for temporary files of its own."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.weights = folder / "w.safetensors"
        write_weights(self.weights)
        keys = (f"checkpoint={self.weights}", "device=cpu", "port=0", f"max_bytes={MAX_BYTES}")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ceco3d.serve", *keys, f"max_points={MAX_POINTS}", "queue=30", "keep=30"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(self.temporary)},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "20 classes of scannet20" in line
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+);", line)[1])
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=WAIT, trust_env=False)

    def send(self, body: bytes, name: str = "room.ply") -> httpx.Response:
        return self.client.post("/jobs", params={"name": name}, content=body)

    def label(self, body: bytes, name: str = "room.ply") -> dict[str, Any]:
        return self.wait(self.send(body, name).json()["id"])

    def wait(self, key: str) -> dict[str, Any]:
        end = time.monotonic() + WAIT
        while (job := self.client.get(f"/jobs/{key}").json())["state"] not in ("done", "failed"):
            assert time.monotonic() < end, job
            time.sleep(0.05)
        return job

    def remains(self) -> list[Path]:
        """The files and folders of jobs."""
        return list(self.temporary.glob("ceco3d-serve-*/*"))

    def processes(self) -> list[int]:
        """The server, and the processes that it has started."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [self.process.pid, *(int(pid) for path in children for pid in path.read_text().split())]

    def memory(self) -> int:
        """Bytes in memory of all its processes."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.processes())
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; the exit code, and what the server said on stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=WAIT)
        return self.process.returncode, said


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("serve"))
    yield server
    server.client.close()
    if server.process.poll() is None:
        server.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("room") / "room.ply"
    write_room(path, POINTS)
    return path


def write_room(path: Path, count: int) -> None:
    """Points on the floor and two walls."""
    rng = np.random.default_rng(0)
    coord = rng.random((count, 3)) * [4, 3, 2]
    coord[np.arange(count), np.arange(count) % 3] = 0
    colors = rng.integers(0, 256, (count, 3), np.uint8)
    with path.open("wb") as file:
        columns = dict(zip("xyz", coord.T.astype(np.float32), strict=True))
        write_ply(file, columns | dict(zip(("red", "green", "blue"), colors.T, strict=True)))


def test_many_scans_in_a_row_get_the_labels_of_the_library_in_the_same_memory(server, room):
    expected = ceco3d.load(server.weights, device="cpu").predict(room).labels.tolist()
    body = room.read_bytes()
    memory = []
    for _ in range(20):
        job = server.label(body)
        assert job["state"] == "done", job["reason"]
        memory.append(server.memory())
        labels = server.client.get(f"/jobs/{job['id']}/scan.labels.txt").text
        assert list(map(int, labels.split())) == expected
    assert memory[-1] - memory[4] < STEADY
    for path in server.remains():
        assert server.client.delete(f"/jobs/{path.name}").status_code == 204
    assert server.remains() == []


def test_the_result_has_the_files_of_predict_and_no_paths_of_the_server(server, room):
    job = server.label(room.read_bytes(), "my room.ply")
    files = {file["name"]: file["url"] for file in job["files"]}
    assert list(files) == ["my room.html", "my room.labels.txt", "my room.ply", "my room.summary.json"]
    summary = server.client.get(files["my room.summary.json"]).json()
    assert (summary["input"], summary["points"]) == ("my room.ply", POINTS)
    for url in files.values():
        content = server.client.get(url).content
        assert content
        assert os.fsencode(server.temporary) not in content


def test_scans_that_come_together_are_labeled_one_after_the_other(server, room):
    body = room.read_bytes()
    with ThreadPoolExecutor(3) as pool:
        sent = list(pool.map(lambda number: server.send(body, f"{number}.ply").json()["id"], range(3)))
    assert [server.wait(key)["state"] for key in sent] == ["done"] * 3


def test_a_broken_scan_fails_in_one_line_that_names_it(server, room):
    for body in (b"no scan at all", room.read_bytes()[:500]):
        job = server.label(body, "broken.ply")
        assert job["state"] == "failed"
        assert job["reason"].startswith("broken.ply: ")
        assert str(server.temporary) not in job["reason"]
        assert "\n" not in job["reason"]


def test_a_scan_of_too_many_points_fails(server, tmp_path):
    write_room(tmp_path / "large.ply", MAX_POINTS + 1)
    reason = server.label((tmp_path / "large.ply").read_bytes(), "large.ply")["reason"]
    assert reason == "large.ply: 3,001 points, but no more than 3,000 are taken; thin it"


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(server):
    before = server.remains()
    head = f"POST /jobs?name=a.ply HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {10**12}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT) as raw:
        raw.sendall(head.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")
    assert server.remains() == before


def test_a_file_of_unknown_size_is_refused_once_it_is_too_large(server):
    before = server.remains()
    answer = server.client.post("/jobs?name=a.ply", content=(bytes(1000) for _ in range(MAX_BYTES // 1000 + 1)))
    assert answer.status_code == 413
    assert server.remains() == before


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(server):
    before = set(server.remains())
    head = f"POST /jobs?name=a.ply HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 90000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT) as raw:
        raw.sendall(head.encode() + bytes(40_000))
        until(lambda: [path for job in set(server.remains()) - before for path in job.iterdir()])
    until(lambda: set(server.remains()) == before)
    assert server.client.get("/health").json()["jobs"]["uploading"] == 0


def until(condition: Any) -> None:
    """Wait until ``condition`` holds."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_scan_is_sent_and_seen_on_a_phone(server, room):
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE_GL)
        page = browser.new_context(**PHONE).new_page()
        page.set_default_timeout(WAIT * 1000)
        problems = []
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.port}/")
        sideways = "document.documentElement.scrollWidth - innerWidth"
        assert page.evaluate(sideways) == 0
        page.set_input_files("#file", room)
        page.tap("#send")
        page.wait_for_selector("#result:visible")
        viewer = page.query_selector("#viewer").content_frame()
        viewer.wait_for_selector("body[data-ready=true]")
        assert "mean confidence" in page.inner_text("#warnings")
        assert page.inner_text("#name").startswith("room.ply, labeled in ")
        assert page.evaluate(sideways) == 0
        with page.expect_download() as download:
            page.get_by_role("link", name="room.labels.txt").tap()
        assert download.value.suggested_filename == "room.labels.txt"
        assert len(Path(download.value.path()).read_text().split()) == POINTS
        page.reload()
        page.wait_for_selector("#result:visible")  # the address keeps the job
        page.tap("#remove")
        page.wait_for_selector("#result", state="hidden")
        browser.close()
    assert problems == []


def test_ctrl_c_ends_it_and_leaves_nothing_behind(server, room):
    threading.Thread(target=server.send, args=(room.read_bytes(),), daemon=True).start()
    processes = server.processes()
    assert len(processes) > 1
    code, said = server.end(signal.SIGINT)
    assert code == 130
    assert said.endswith("interrupted\n")
    assert "Traceback" not in said
    assert list(server.temporary.iterdir()) == []
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes))
