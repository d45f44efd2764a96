"""Let a client read why it is refused while it still sends."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = 2.0  # for which the rest of a body is read and dropped after the answer


class Linger:
    """After an answer to a request whose body was not read to its end, drops the rest for a while, then hangs up.

    To close a connection while something arrives resets it, and a reset can reach the client before the answer does.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rest = scope["type"] == "http" and _has_body(Headers(scope=scope))

        async def watched() -> Message:
            nonlocal rest
            message = await receive()
            rest = rest and message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def lingering(message: Message) -> None:
            if rest and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            if not rest or message["type"] != "http.response.body" or message.get("more_body", False):
                await send(message)
                return
            await send({**message, "more_body": True})
            end = time.monotonic() + SECONDS
            try:
                while rest:
                    await asyncio.wait_for(watched(), max(end - time.monotonic(), 0))
            except asyncio.TimeoutError:  # another class than TimeoutError before Python 3.11
                pass
            await send({"type": "http.response.body", "body": b""})

        await self._app(scope, watched, lingering)


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
