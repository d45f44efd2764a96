"""The port, the thread that hands scans to the labeling process, and the end of it all."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI

from ceco3d.serving.app import make_app
from ceco3d.serving.guard import own_hosts
from ceco3d.serving.jobs import Jobs, Limits
from ceco3d.serving.labeler import Labeler
from ceco3d.utils.errors import UserError

CONNECTIONS = 100  # at a time; further ones are answered with 503
GRACE = 2  # seconds that answers under way get at the end

logger = logging.getLogger(__name__)


def serve(host: str, port: int, labeler: Labeler, limits: Limits) -> None:
    """Answer until Ctrl-C (KeyboardInterrupt) or SIGTERM (SystemExit with 143). Leaves no file behind.

    UserError if the port is taken, the host is not one of this machine, or the network cannot be loaded.
    """
    with listening(host, port) as door, TemporaryDirectory(prefix="ceco3d-serve-") as folder:
        signal.signal(signal.SIGTERM, _terminate)
        jobs = Jobs(Path(folder), limits)
        thread = threading.Thread(target=label_all, args=(jobs, labeler), daemon=True)
        try:
            weights = labeler.start()
            thread.start()
            hosts = own_hosts(host, door.getsockname()[1])
            if hosts is None:
                logger.warning(f"host={host}: whoever reaches this machine can send scans; nobody has to log in")
            app = make_app(jobs, labeler, limits, weights, hosts)
            logger.info(f"{weights} labels scans on {address(door)}; Ctrl-C ends it")
            web_server(app).run(sockets=[door])
        finally:
            jobs.close()
            labeler.close()
            if thread.is_alive():
                thread.join()


def web_server(app: FastAPI) -> uvicorn.Server:
    """What speaks HTTP."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE,
    )
    return uvicorn.Server(config)


def label_all(jobs: Jobs, labeler: Labeler) -> None:
    """Label one scan after the other until the end."""
    while (job := jobs.next()) is not None:
        reason = labeler.label(job)
        if jobs.finish(job, reason):
            if reason is None:
                logger.info(f"{job.name}: labeled in {job.seconds:.1f} s")
            else:
                logger.warning(f"{job.name}: {reason}")


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens; UserError if that is not possible. Port 0: any that is free."""
    try:
        kind, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise UserError(f"host={host}: no such host ({error.strerror})") from None
    with socket.socket(kind, socket.SOCK_STREAM) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(place)
            door.listen()
        except OSError as error:
            raise UserError(f"host={host} port={port}: {error.strerror}; choose another port=") from None
        yield door


def address(door: socket.socket) -> str:
    """What to type into a browser."""
    host, port = door.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
