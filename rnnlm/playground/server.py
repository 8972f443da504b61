"""The server of `rnnlm serve`: its routes, and the socket on which it listens."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

from rnnlm.errors import RnnlmError
from rnnlm.playground.answers import encoded, event_stream, json_response, refusal, whole_answer
from rnnlm.playground.asgi import Application
from rnnlm.playground.bodies import parse, read_body
from rnnlm.playground.completions import Completion
from rnnlm.playground.connections import Connection, Sparing, most_connections
from rnnlm.playground.openapi import document
from rnnlm.playground.operations import Operation, operations
from rnnlm.playground.page import PageFile, page_files
from rnnlm.playground.refusals import GoneError, RequestError
from rnnlm.playground.security import Guard
from rnnlm.playground.served import ServedModel
from rnnlm.playground.work import Limits, Workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import uvicorn
    from starlette.requests import Request
    from starlette.responses import Response

BACKLOG, ACCEPTED = 1024, 16  # connections that wait in the system's queue, and that are accepted at a time
LOGGERS = ("asyncio", "uvicorn.error", "rnnlm.playground")
GRACE = 5  # seconds that accepted requests have when the server is stopped
SWITCH = 0.001  # seconds between thread switches: a key stroke should not wait for the default 5 ms each time
_log, _sparing = logging.getLogger("rnnlm.playground"), Sparing()

SMALL = 1 << 14  # bytes of a body that is parsed in the event loop
BODY = "The request's body"

Handler = Callable[["Request"], Awaitable["Response | Application"]]


class ServeError(RnnlmError):
    """The server cannot be started."""


def application(
    models: list[ServedModel],
    threads: int = 2,
    limits: Limits | None = None,
    names: Iterable[str] = (),
    api_key: str | None = None,
) -> Application:
    """Return the ASGI application. names: Accepted host names, see `security`.

    Raises:
        ServeError: Starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.routing import Route
    except ImportError as error:
        raise _missing("Starlette", error) from None
    limits = limits or Limits()
    table, workers = operations({model.name: model for model in models}), Workers(threads, limits)
    description = encoded(document(table))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        workers.close()

    async def describe(request: Request) -> Response:
        return json_response(description)

    routes = [
        *(Route(each.path, _handler(each, workers), methods=[each.method]) for each in table),
        Route("/openapi.json", describe, methods=["GET"]),
        *(Route(file.path, _sender(file), methods=["GET"]) for file in page_files()),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: _refuse_route, Exception: _fail},
    )
    app.router.redirect_slashes = False  # a redirect would contain the request's Host
    return Guard(app, names, api_key, limits.send_seconds)


def _missing(package: str, error: ImportError) -> ServeError:
    what = f"The server needs {package}, which cannot be loaded ({error})."
    return ServeError(f"{what} Install it with: pip install 'rnnlm-cli[serve]'")


async def _refuse_route(request: Request, error: Any) -> Response:
    allowed = (error.headers or {}).get("Allow", "none")
    sentence, code = {
        404: ("There is nothing here; /openapi.json tells what there is.", "no_path"),
        405: (f"{request.method} is not for this path; allowed: {allowed}.", "wrong_method"),
    }.get(error.status_code, (str(error.detail), "refused"))
    return refusal(RequestError(sentence, error.status_code, code=code, headers=error.headers))


async def _fail(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refusal(RequestError("The server failed; its terminal says how.", 500, "server_error", code="failed"))


def _sender(file: PageFile) -> Handler:
    """Return a handler that answers with a file of the page."""

    async def send_file(request: Request) -> Response:
        from starlette.responses import Response

        return Response(file.content, media_type=file.media_type)

    return send_file


def _handler(operation: Operation, workers: Workers) -> Handler:
    """Return a handler that answers the requests of an operation."""

    async def handle(request: Request) -> Response | Application:
        if operation.fields is None:
            return json_response(encoded(operation.answer()))
        read = operation.fields.read
        try:
            body = await read_body(request, workers.limits)
            if len(body) <= SMALL:
                values = read(parse(body), BODY)
            else:
                loop = asyncio.get_running_loop()
                values = await loop.run_in_executor(workers.pool, lambda: read(parse(body), BODY))
            answer = operation.answer(values.pop("model"), **values)
            if isinstance(answer, Completion):
                return event_stream(answer, workers)
            return whole_answer(answer, operation.is_long, workers)
        except GoneError:
            return json_response(b"", 499)  # the client has disconnected
        except (RnnlmError, MemoryError) as error:
            return refusal(error)

    return handle


# --- running ------------------------------------------------------------------------------------------------------


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 chooses a free port.

    Raises:
        ServeError: The address cannot be resolved or bound.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if sys.platform != "win32":  # on Windows, SO_REUSEADDR would let two programs use one port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServeError(
            f"The server cannot listen on {host} port {port}: {reason}. Choose another --port (0: any that is free) "
            "or --host."
        ) from None
    return listener


def run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serve until a signal; then answer accepted requests for at most GRACE seconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    gc.collect()
    gc.freeze()  # models and modules stay; visiting them at every collection would stop all threads for 0.1 s
    try:
        with closing(listener):
            server.run(sockets=[listener])
    finally:
        sys.setswitchinterval(before)
        gc.unfreeze()


def web_server(app: Application, limits: Limits | None = None) -> uvicorn.Server:
    """Return the uvicorn server, with limits on its connections.

    Raises:
        ServeError: uvicorn is not installed.
    """
    try:
        import uvicorn
        from uvicorn.protocols.http.h11_impl import H11Protocol
    except ImportError as error:
        raise _missing("uvicorn", error) from None

    class Server(uvicorn.Server):  # type: ignore[misc]
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            for each in sockets or []:
                each.listen(BACKLOG)  # was set to config.backlog, which also limits what is accepted at a time

    limits = limits or Limits()
    most = most_connections(limits)
    config = uvicorn.Config(
        app,
        http=type("LimitedConnection", (Connection, H11Protocol), {"limits": limits, "most": most}),
        log_config=None,  # otherwise uvicorn configures the logging of the whole process
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        backlog=min(ACCEPTED, most),
        timeout_keep_alive=limits.keep_alive,
        timeout_graceful_shutdown=GRACE,
    )
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_sparing)
    return Server(config)
