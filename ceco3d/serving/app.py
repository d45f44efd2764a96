"""The addresses of the server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from ceco3d.data.pointclouds.files import READERS
from ceco3d.serving.guard import Guard
from ceco3d.serving.jobs import RESULT, Job, Jobs, Limits, QueueFullError
from ceco3d.serving.labeler import Labeler
from ceco3d.serving.linger import Linger
from ceco3d.serving.page import start_page
from ceco3d.serving.upload import refuse_early, save_body
from ceco3d.utils.plain_text import visible

NAME = 100  # characters of a name that are kept
RETRY_SECONDS = 10  # after which a client may ask again when the queue is full
VIEWER = ".html"


def make_app(jobs: Jobs, labeler: Labeler, limits: Limits, weights: str, hosts: Sequence[str] | None) -> FastAPI:
    """The application.

    weights  what the network is, in one line
    hosts    see ``Guard``
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)  # their pages load scripts from elsewhere
    app.add_middleware(Guard, hosts=hosts)
    app.add_middleware(Linger)  # the outermost
    app.add_exception_handler(RequestValidationError, _invalid)
    page, policy = start_page(limits, weights)

    @app.get("/")
    async def start() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    @app.get("/health")
    async def health() -> dict[str, Any]:
        counts = {state: jobs.count(state) for state in ("uploading", "queued", "running", "done", "failed")}
        return {"status": "ok", "weights": weights, "jobs": counts, "max_bytes": limits.max_bytes}

    @app.post("/jobs", status_code=202)
    async def send(
        request: Request,
        name: Annotated[str, Query(min_length=1)],
        unit: Literal["m", "cm", "mm"] = "m",
        up: Literal["z", "y", "-y"] = "z",
    ) -> Response:
        refuse_early(request, limits.max_bytes)
        job = _reserved(jobs, limits, _shown(name), _suffix(name), unit, up)
        try:
            await save_body(request, job.upload, limits.max_bytes)
        except ClientDisconnect:
            jobs.remove(job)
            return Response(status_code=400)  # which nobody reads
        except BaseException:
            jobs.remove(job)
            raise
        jobs.submit(job)
        return JSONResponse(_status(jobs, job), 202, {"Location": f"/jobs/{job.id}"})

    @app.get("/jobs/{key}")
    async def status(key: str) -> dict[str, Any]:
        return _status(jobs, _found(jobs, key))

    @app.get("/jobs/{key}/{file}")
    async def fetch(key: str, file: str) -> FileResponse:
        job = _found(jobs, key)
        path = job.files().get(file)
        if path is None:
            raise HTTPException(404, "no such file; /jobs/ID lists them")
        return FileResponse(path, filename=None if path.suffix == VIEWER else _download_name(job, file))

    @app.delete("/jobs/{key}", status_code=204)
    async def remove(key: str) -> Response:
        job = _found(jobs, key)
        if jobs.remove(job):
            labeler.cancel(job)
        return Response(status_code=204)

    return app


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """A parameter that is missing or wrong, in one line."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return JSONResponse({"detail": f"{first['loc'][-1]}: {first['msg']}"}, 422)


def _reserved(jobs: Jobs, limits: Limits, *about: str) -> Job:
    """A place in the queue, see ``Jobs.reserve``; HTTPException 503 without one."""
    try:
        return jobs.reserve(*about)
    except QueueFullError:
        later = {"Retry-After": str(RETRY_SECONDS)}
        raise HTTPException(503, f"{limits.queue} scans wait already; try again later", later) from None


def _shown(name: str) -> str:
    """The name of a file without its folders, fit to be shown."""
    return visible(PurePosixPath(name.replace("\\", "/")).name)[-NAME:] or "scan"


def _suffix(name: str) -> str:
    """The suffix of a format that is read, taken from the list of them; HTTPException 415 if ``name`` has no such."""
    own = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    suffix = next((known for known in READERS if known == own), None)
    if suffix is None:
        raise HTTPException(415, f"choose a file of one of these formats: {', '.join(READERS)}")
    return suffix


def _found(jobs: Jobs, key: str) -> Job:
    job = jobs.get(key)
    if job is None:
        raise HTTPException(404, "no such job: it was removed, or newer ones took its place")
    return job


def _download_name(job: Job, file: str) -> str:
    """How a file of a result is called where it is saved: as ``python -m ceco3d.predict`` would call it."""
    return PurePosixPath(job.name).stem + file.removeprefix(RESULT)


def _status(jobs: Jobs, job: Job) -> dict[str, Any]:
    """What is known of a job."""
    files = [
        {"name": _download_name(job, name), "url": f"/jobs/{job.id}/{name}", "bytes": path.stat().st_size}
        for name, path in job.files().items()
    ]
    seconds = job.seconds
    if seconds is None and job.state == "running":
        seconds = time.monotonic() - job.since
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "place": jobs.place(job),
        "seconds": None if seconds is None else round(seconds, 1),
        "reason": job.reason,
        "files": files,
    }
