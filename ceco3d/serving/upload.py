"""The body of a request, from the network to the disk: never in memory, never more than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import HTTPException, Request

STALLED = 60.0  # seconds without a byte after which an upload is given up


def refuse_early(request: Request, max_bytes: int) -> None:
    """HTTPException 413 or 415 by what the headers say, before anything of the body is read."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise HTTPException(415, "send the file itself as the body: curl -X POST -T scan.ply 'URL/jobs?name=scan.ply'")
    length = request.headers.get("content-length")
    if length is not None and int(length) > max_bytes:  # the HTTP parser has checked that it is a number
        raise too_large(max_bytes)


def too_large(max_bytes: int) -> HTTPException:
    """413."""
    return HTTPException(413, f"the file is larger than {max_bytes:,} bytes; thin it, or raise max_bytes=")


async def save_body(request: Request, path: Path, max_bytes: int) -> None:
    """Write the body to ``path``.

    HTTPException 413 as soon as it is too large, 408 if nothing comes any more, 400 if it is empty, 507 if the disk is
    full; ``starlette.requests.ClientDisconnect`` if the client leaves.
    """
    size = 0
    try:
        with path.open("wb") as file:
            async for chunk in _chunks(request):
                size += len(chunk)
                if size > max_bytes:
                    raise too_large(max_bytes)
                file.write(chunk)
    except OSError as error:
        raise HTTPException(507, f"cannot be stored ({error.strerror})") from None
    if not size:
        raise HTTPException(400, "the file is empty")


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            yield await asyncio.wait_for(anext(stream), STALLED)
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError:  # another class than TimeoutError before Python 3.11
            raise HTTPException(408, f"nothing came for {STALLED:.0f} s") from None
