"""Who may talk to the web server: a one-time token becomes a cookie; Host and Origin have to be the server's own."""

from __future__ import annotations

import hmac
import secrets

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

__all__ = ["WebGuard"]

REFUSED = "Start from the address that stackbench printed; it works once.\n"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class WebGuard:
    """Guards every route of a server at one port."""

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        """Opens the door once."""
        self._used = False
        self._session = secrets.token_urlsafe(32)
        self._cookie = f"stackbench_{port}"  # browsers keep cookies by host, whatever the port
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    @property
    def middleware(self) -> Middleware:
        """For the application; also guards what it has no route for."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            refusal = self._refusal(request)
            if refusal is not None:
                refusal.headers.update(HEADERS)
                return refusal
            try:
                return await handler(request)
            except web.HTTPException as error:
                error.headers.update(HEADERS)
                raise

        return guard

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """For the application's `on_response_prepare`."""
        response.headers.update(HEADERS)

    def _refusal(self, request: web.Request) -> web.Response | None:
        """None where the request may go on. The token's own request is answered here."""
        known = self._is(request.cookies.get(self._cookie, ""), self._session)
        token = request.query.get("token", "") if request.path == "/" else ""
        opens = not self._used and self._is(token, self.token)
        if not known and not opens:
            return web.Response(status=401, text=REFUSED)
        if request.host not in self._hosts:
            return web.Response(status=403, text="This server answers to its own address alone.\n")
        origin = request.headers.get("Origin")
        if origin != f"http://{request.host}" and (origin is not None or request.path == "/ws"):
            return web.Response(status=403, text="Requests of other pages are refused.\n")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="Only GET is answered.\n")
        if not token:
            return None
        answer = web.Response(status=303, headers={"Location": "/"})
        if opens:
            self._used = True
            answer.set_cookie(self._cookie, self._session, httponly=True, samesite="Strict", path="/")
        return answer

    @staticmethod
    def _is(given: str, wanted: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())
