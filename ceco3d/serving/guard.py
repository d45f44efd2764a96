"""Which requests are answered: those of the page itself and of programs, not those of other sites in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def own_hosts(host: str, port: int) -> Sequence[str] | None:
    """Values of the header ``Host`` that mean a server on loopback; None for other hosts, which have many names."""
    if host not in LOOPBACK:
        return None
    names = ["[::1]" if name == "::1" else name for name in LOOPBACK]
    return [*(f"{name}:{port}" for name in names), *(names if port == 80 else ())]


class Guard:
    """Refuses requests for other hosts, and changes that other origins ask for; adds HEADERS to every answer.

    hosts  values of the header ``Host`` that are answered, in small letters; None: any. A site of somebody else whose
           name leads to 127.0.0.1 (DNS rebinding) would otherwise be of the same origin as this server.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        reason = None if scope["type"] != "http" else self._objection(scope["method"], Headers(scope=scope))
        if reason is None:
            await self._app(scope, receive, guarded)
        else:
            await JSONResponse({"detail": reason}, 403)(scope, receive, guarded)

    def _objection(self, method: str, headers: Headers) -> str | None:
        """Why a request is not answered."""
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if self._hosts is not None and host not in self._hosts:
            return "this server is called by another name here; to be reached by others, set host="
        if method not in ("GET", "HEAD") and origin is not None and urlsplit(origin.lower()).netloc != host:
            return "only the page of this server may ask for that"
        return None
