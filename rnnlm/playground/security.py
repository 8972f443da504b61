"""Access control: an ASGI middleware that checks every request, and limits the time for sending an answer.

- Host: the page of another site can make its own name resolve to 127.0.0.1 (DNS rebinding) and then read what is served
  here, but the browser sends that name in the Host header. Foreign names are refused; numeric addresses cannot be
  rebound.
- Origin: requests from pages of other sites are refused. Without CORS headers they could not read the answers either.
- Authorization: if the server has a key, everything but the page itself and /healthz requires it.
"""

import asyncio
import hmac
import ipaddress
import math
from collections.abc import Iterable
from urllib.parse import urlsplit

from rnnlm.playground.answers import refusal
from rnnlm.playground.asgi import Application, Message, Receive, Scope, Send
from rnnlm.playground.refusals import RequestError

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-cache",
}
OPEN = ("/", "/healthz")  # and /static/: paths that do not require the key
LOCAL = ("localhost", "localhost.localdomain")


class Guard:
    """The middleware. names: Accepted host names besides localhost and numeric addresses."""

    def __init__(
        self,
        application: Application,
        names: Iterable[str] = (),
        api_key: str | None = None,
        send_seconds: float = math.inf,
    ) -> None:
        """Wrap an application. send_seconds: Time in which a client must read what is sent."""
        self._application = application
        self._names = {name.lower().rstrip(".") for name in (*LOCAL, *names)}
        self._key, self._send_seconds = api_key, send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on and add the security headers to the answer."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        stalled = False

        async def guarded(message: Message) -> None:
            nonlocal stalled
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                ours = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *(each for each in ours if each[0] not in there)]
            if stalled:  # treat the client as disconnected
                return
            try:
                async with asyncio.timeout(self._send_seconds):
                    await send(message)
            except TimeoutError:
                stalled = True

        error = self._refused(scope)
        await (self._application if error is None else refusal(error))(scope, receive, guarded)

    def _refused(self, scope: Scope) -> RequestError | None:
        """Return the error for a request that is refused, else None."""
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return _forbidden(
                "The Host header names no address of this server: another site may be behind this request. Use "
                "http://localhost or the address that the server printed, or start it with --allow-host NAME.",
                "foreign_host",
            )
        if any(not _is_same(origin, hosts[0]) for origin in origins):
            message = "The Origin header is that of another site, which may not ask this server."
            return _forbidden(message, "foreign_origin")
        if any("websocket" in value.lower() for value in _values(scope, b"upgrade")):
            message = "There are no WebSockets here; a stream is sent as server-sent events."
            return RequestError(message, code="no_upgrade")
        path = scope["path"]
        if self._key is None or path in OPEN or path.startswith("/static/"):
            return None
        given = _values(scope, b"authorization")
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        if scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._key.encode()):
            return None
        return RequestError(
            "This server needs its key: send the header Authorization: Bearer KEY with the --api-key it was given.",
            401,
            "authentication_error",
            code="no_key",
            headers={"www-authenticate": "Bearer"},
        )

    def _is_ours(self, host: str) -> bool:
        """Return whether a Host header has an accepted name or a numeric address."""
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname, parts.port
        except ValueError:
            return False
        if not name or parts.path or parts.query or parts.fragment or parts.username is not None:
            return False
        return name.rstrip(".") in self._names or _is_address(name)


def _forbidden(message: str, code: str) -> RequestError:
    return RequestError(message, 403, "permission_error", code=code)


def _values(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_same(origin: str, host: str) -> bool:
    """Return whether an Origin header has the same host and port as the Host header; a proxy may change the scheme."""
    scheme, separator, place = origin.lower().partition("://")
    port = {"http": ":80", "https": ":443"}.get(scheme)
    return bool(separator) and port is not None and place.removesuffix(port) == host.lower().removesuffix(port)
