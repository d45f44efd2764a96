"""The addresses of the server, its queue and its limits, with a process that stands in for the network."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
import httpx

from ceco3d.serving import labeler as labeler_module
from ceco3d.serving.app import make_app
from ceco3d.serving.guard import own_hosts
from ceco3d.serving.jobs import Jobs, Limits
from ceco3d.serving.labeler import Labeler
from ceco3d.serving.server import label_all, listening, web_server
from ceco3d.utils.errors import UserError
from tests.helpers.labelers import WEIGHTS, stand_in

WAIT = 60.0


class Served:
    """The application on ``folder``, with a client of it."""

    def __init__(self, folder: Path, labeler: Labeler, limits: Limits) -> None:
        self.folder, self.labeler = folder, labeler
        self.jobs = Jobs(folder, limits)
        self.door = ExitStack()
        door = self.door.enter_context(listening("127.0.0.1", 0))
        self.port = door.getsockname()[1]
        self.web = web_server(make_app(self.jobs, labeler, limits, WEIGHTS, own_hosts("127.0.0.1", self.port)))
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=WAIT, trust_env=False)
        answering = threading.Thread(target=self.web.run, kwargs={"sockets": [door]}, daemon=True)
        self.threads = [answering, threading.Thread(target=label_all, args=(self.jobs, labeler), daemon=True)]
        for thread in self.threads:
            thread.start()

    def send(self, name: str = "room.ply", body: bytes = b"points", **query: str) -> Any:
        return self.client.post("/jobs", params={"name": name, **query}, content=body)

    def wait(self, key: str, *states: str) -> dict[str, Any]:
        end = time.monotonic() + WAIT
        while (job := self.client.get(f"/jobs/{key}").json())["state"] not in states:
            assert time.monotonic() < end, job
            time.sleep(0.02)
        return job

    def label(self, name: str = "room.ply", **query: str) -> dict[str, Any]:
        return self.wait(self.send(name, **query).json()["id"], "done", "failed")

    def end(self) -> None:
        self.client.close()
        self.web.should_exit = True
        self.jobs.close()
        self.labeler.close()
        for thread in self.threads:
            thread.join(WAIT)
            assert not thread.is_alive()
        self.door.close()


@pytest.fixture
def serve(tmp_path, monkeypatch) -> Iterator[Callable[..., Served]]:
    monkeypatch.setattr(labeler_module, "run_labeler", stand_in)
    servers = []

    def make(max_bytes: int = 1000, timeout: float = WAIT, queue: int = 2, keep: int = 2) -> Served:
        limits = Limits(max_bytes, 1000, timeout, queue, keep)
        servers.append(Served(tmp_path, Labeler("weights", "cpu", None, limits), limits))
        return servers[-1]

    yield make
    for server in servers:
        server.end()


def test_a_scan_is_labeled_with_its_unit_and_axis_and_its_files_have_its_name(serve):
    server = serve()
    job = server.label("my room.ply", unit="mm", up="-y")
    assert (job["state"], job["place"], job["reason"]) == ("done", 0, "")
    assert {file["name"] for file in job["files"]} == {"my room.ply", "my room.html"}
    ply = server.client.get(f"/jobs/{job['id']}/scan.ply")
    assert ply.content == b"points"
    assert ply.headers["content-disposition"] == "attachment; filename*=utf-8''my%20room.ply"
    page = server.client.get(f"/jobs/{job['id']}/scan.html")
    assert page.text == "<p>mm -y</p>"
    assert "content-disposition" not in page.headers
    assert server.client.get("/health").json()["jobs"]["done"] == 1


def test_a_name_is_no_path_and_no_header(serve, tmp_path):
    server = serve(keep=10)
    names = ["../../etc/room.ply", "..\\..\\room.ply", "/room.ply", "a\r\nSet-Cookie: b.ply", ".ply/../room.ply"]
    for name in names:
        job = server.label(name)
        assert job["state"] == "done"
        assert "/" not in job["name"]
        assert job["name"].isprintable()
        assert (tmp_path / job["id"] / "results" / "scan.ply").exists()
        assert "set-cookie" not in server.client.get(f"/jobs/{job['id']}/scan.ply").headers
    assert len(list(tmp_path.iterdir())) == len(names)


def test_only_files_of_the_result_are_handed_out(serve):
    server = serve()
    job = server.label()
    for file in ("..%2Fupload.ply", "%2e%2e", "nothing", "upload.ply", "%2Fetc%2Fpasswd"):
        assert server.client.get(f"/jobs/{job['id']}/{file}").status_code == 404


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ({"name": "room.exe"}, 415, "choose a file of one of these formats: "),
        ({"name": "room"}, 415, "choose a file of one of these formats: "),
        ({"name": "room.ply", "unit": "inch"}, 422, "unit: Input should be 'm', 'cm' or 'mm'"),
        ({"name": "room.ply", "up": "x"}, 422, "up: Input should be 'z', 'y' or '-y'"),
        ({}, 422, "name: Field required"),
    ],
)
def test_a_wrong_question_is_answered_in_one_line(serve, tmp_path, query, code, text):
    answer = serve().client.post("/jobs", params=query, content=b"points")
    assert answer.status_code == code
    assert answer.json()["detail"].startswith(text)
    assert not list(tmp_path.iterdir())


def test_bodies_that_are_no_file_are_refused(serve, tmp_path):
    server = serve()
    form = server.client.post("/jobs", params={"name": "room.ply"}, files={"file": b"points"})
    assert form.status_code == 415
    assert "curl" in form.json()["detail"]
    assert server.send(body=b"").json()["detail"] == "the file is empty"
    assert not list(tmp_path.iterdir())


def test_a_body_that_is_too_large_is_refused_with_and_without_a_length(serve, tmp_path):
    server = serve(max_bytes=1000)
    assert server.send(body=bytes(1001)).status_code == 413
    assert server.send(body=iter([bytes(600), bytes(600)])).status_code == 413
    assert not list(tmp_path.iterdir())
    assert server.send(body=iter([bytes(500), bytes(500)])).status_code == 202


def test_a_client_that_still_sends_reads_why_it_is_refused(serve):
    server = serve(max_bytes=1000)
    for _ in range(5):  # without the wait for its rest, some of these end in a reset connection
        answer = server.client.post("/jobs?name=room.ply", content=(bytes(50_000) for _ in range(100)))
        assert answer.status_code == 413
        assert answer.headers["connection"] == "close"


def test_scans_wait_in_a_queue_that_has_an_end(serve):
    server = serve(queue=2)
    first = server.send("slow.ply").json()["id"]
    server.wait(first, "running")
    waiting = [server.send("room.ply").json() for _ in range(2)]
    assert [server.client.get(f"/jobs/{job['id']}").json()["place"] for job in waiting] == [1, 2]
    refused = server.send("room.ply")
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert server.client.delete(f"/jobs/{waiting[0]['id']}").status_code == 204
    assert server.client.get(f"/jobs/{waiting[1]['id']}").json()["place"] == 1
    assert server.client.delete(f"/jobs/{first}").status_code == 204  # ends the running one
    assert server.wait(waiting[1]["id"], "done", "failed")["state"] == "done"
    assert [path.name for path in server.folder.iterdir()] == [waiting[1]["id"]]


def test_a_scan_that_takes_too_long_fails_and_the_next_one_does_not(serve):
    server = serve(timeout=3)
    assert server.label("slow.ply")["reason"] == "took longer than 3 s; thin the scan, or raise timeout="
    assert server.label()["state"] == "done"


def test_the_server_outlives_the_process_that_labels(serve):
    server = serve()
    assert server.label("dies.ply")["reason"].startswith("the process that labels ended (SIGKILL)")
    assert server.label("wrong.ply")["reason"] == "wrong.ply: damaged"
    assert server.label()["state"] == "done"


def test_only_the_newest_results_are_kept(serve):
    server = serve(keep=2)
    ids = [server.label()["id"] for _ in range(4)]
    assert {path.name for path in server.folder.iterdir()} == set(ids[2:])
    gone = server.client.get(f"/jobs/{ids[0]}")
    assert gone.status_code == 404
    assert "no such job" in gone.json()["detail"]
    assert len(set(ids)) == 4
    assert min(map(len, ids)) >= 22  # 128 random bits


def test_other_hosts_are_not_answered(serve):
    server = serve()
    for host in ("evil.example:{}", "127.0.0.1:9", "localhost", "127.0.0.1.evil.example:{}"):
        assert server.client.get("/", headers={"Host": host.format(server.port)}).status_code == 403


def test_pages_of_other_origins_change_nothing(serve):
    server = serve()
    job = server.label()
    for origin in ("http://evil.example", "http://127.0.0.1:9", "null", "http://evil/127.0.0.1:{}"):
        headers = {"Origin": origin.format(server.port)}
        assert server.client.post("/jobs?name=a.ply", content=b"a", headers=headers).status_code == 403
        assert server.client.delete(f"/jobs/{job['id']}", headers=headers).status_code == 403
    assert server.client.get(f"/jobs/{job['id']}").status_code == 200


def test_the_own_page_may_ask_by_every_name_of_loopback(serve):
    server = serve(queue=3)
    for name in ("127.0.0.1", "localhost", "[::1]"):
        headers = {"Origin": f"http://{name}:{server.port}", "Host": f"{name}:{server.port}"}
        assert server.client.post("/jobs?name=a.ply", content=b"a", headers=headers).status_code == 202


def test_every_answer_forbids_guessing_types_and_foreign_frames(serve):
    server = serve()
    for address in ("/", "/health", "/jobs/nothing", "/nothing"):
        headers = server.client.get(address).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert "access-control-allow-origin" not in headers
    assert server.client.get("/docs").status_code == 404  # it would load scripts from elsewhere


def test_a_host_that_is_set_may_have_any_name():
    assert own_hosts("0.0.0.0", 8000) is None
    assert "localhost" in own_hosts("127.0.0.1", 80)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Address already in use; choose another port="),
        (("host=no.such.host.invalid",), "host=no.such.host.invalid: no such host"),
        (("port=70000",), "port=70000: must be at most 65535"),
    ],
)
def test_a_port_or_host_that_cannot_be_had_is_one_line(run_command, words, message):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        outcome = run_command("serve", *(words or (f"port={taken.getsockname()[1]}",)))
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_weights_that_do_not_load_are_one_line(monkeypatch):
    monkeypatch.setattr(labeler_module, "run_labeler", stand_in)
    labeler = Labeler("missing", "cpu", None, Limits(1, 1, 1, 1, 1))
    with pytest.raises(UserError, match="missing: no such file"):
        labeler.start()
    labeler.close()


@pytest.mark.parametrize("package", ["fastapi", "uvicorn"])
def test_without_the_extra_the_command_says_how_to_get_it(run_command, monkeypatch, package):
    for name in [name for name in sys.modules if name.startswith(("ceco3d.serving.", package))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    outcome = run_command("serve")
    assert outcome.code == 2
    assert outcome.err == f"error: the server needs {package}: pip install 'ceco3d[serve]'\n"
