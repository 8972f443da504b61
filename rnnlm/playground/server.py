"""The server: routes, reading of requests, answers and streams. Started by `rnnlm serve`."""

from __future__ import annotations

import asyncio
import json
import logging
import mimetypes
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any

from rnnlm.errors import RnnlmError
from rnnlm.playground.completions import Completion
from rnnlm.playground.fields import RequestError, refuse
from rnnlm.playground.openapi import document
from rnnlm.playground.operations import Models, Operation, completions, operations
from rnnlm.playground.security import Application, Guard, Receive, Scope, Send, encoded, error_body
from rnnlm.playground.served import ServedModel
from rnnlm.playground.work import RETRY_AFTER, GoneError, Limits, Workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

BACKLOG = 1024
GRACE = 5  # seconds that accepted requests have when the server is stopped
SWITCH = (
    0.001  # seconds until Python lets another thread go on: a key stroke shall not wait for the usual 5 ms each time
)
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
_log = logging.getLogger("rnnlm.playground")

Handler = Callable[["Request"], Awaitable["Response"]]


class ServeError(RnnlmError):
    """The server can not be started."""


def application(
    models: list[ServedModel],
    threads: int = 2,
    limits: Limits | None = None,
    names: Iterable[str] = (),
    api_key: str | None = None,
) -> Application:
    """The ASGI application. names: host names under which it may be asked; see `security`.

    Raises:
        ServeError: Starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.routing import Route
    except ImportError as error:
        raise ServeError(
            f"The server needs Starlette, which can not be loaded ({error}). Install it with: pip install "
            "'rnnlm-cli[serve]'"
        ) from None
    served, workers = Models(models), Workers(threads, limits or Limits())
    table = [*operations(served), completions(served)]
    description = encoded(document(served, table))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        workers.close()

    async def describe(request: Request) -> Response:
        return _json(description)

    routes = [
        *(Route(each.path, _handler(each, served, workers), methods=[each.method]) for each in table),
        Route("/openapi.json", describe, methods=["GET"]),
        *(Route(path, _file(*file), methods=["GET"]) for path, file in _static_files().items()),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: _refuse_route, Exception: _fail},
    )
    app.router.redirect_slashes = False  # a redirect would be made of the request's Host
    return Guard(app, names, api_key)


def _json(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import Response

    return Response(body, status, headers, "application/json")


def _refused(error: RnnlmError) -> Response:
    """What is answered to a request that is refused."""
    status, kind = (error.status, error.kind) if isinstance(error, RequestError) else (400, "invalid_request_error")
    headers = {"retry-after": str(RETRY_AFTER)} if status == 503 else None
    return _json(encoded(error_body(str(error), kind)), status, headers)


async def _refuse_route(request: Request, error: Any) -> Response:
    sentence = {
        404: "There is nothing here; /openapi.json tells what there is.",
        405: f"{request.method} is not for this path; allowed: {(error.headers or {}).get('Allow', 'none')}.",
    }.get(error.status_code, str(error.detail))
    body = encoded(error_body(sentence, "invalid_request_error"))
    return _json(body, error.status_code, dict(error.headers or {}))


async def _fail(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _json(encoded(error_body("The server failed; its terminal says how.", "server_error")), 500)


# --- the page -----------------------------------------------------------------------------------------------------


def _static_files() -> dict[str, tuple[bytes, str]]:
    """Path, content and type of every file of the page. They are read once; no path of a request is ever opened."""
    folder = resources.files("rnnlm.playground").joinpath("static")
    files = {}
    if folder.is_dir():
        for file in folder.iterdir():
            suffix = "." + file.name.rpartition(".")[2]
            kind = TYPES.get(suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            if file.is_file():
                path = "/" if file.name == "index.html" else f"/static/{file.name}"
                files[path] = (file.read_bytes(), kind)
    return files


def _file(content: bytes, kind: str) -> Handler:
    async def send_file(request: Request) -> Response:
        from starlette.responses import Response

        return Response(content, media_type=kind)

    return send_file


# --- requests -----------------------------------------------------------------------------------------------------


async def _body(request: Request, limits: Limits) -> Any:
    """The JSON value of a request.

    Raises:
        RequestError: it is none, too large, or comes too slowly.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size <= limits.body:
                    parts.append(part)
                elif size > limits.drained:
                    break
    except TimeoutError:
        raise RequestError(f"The body was not complete after {limits.body_seconds:g} s.", 408) from None
    if kind != "application/json":
        raise RequestError(f"The content type is {kind[:60]!r}; expected application/json.", 415)
    if size > limits.body:
        raise RequestError(f"The body is larger than {limits.body:,} bytes, which is the most that is read.", 413)
    return parse(b"".join(parts))


def parse(body: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        RequestError: it is not JSON, or nested so deeply that it can not be read.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise RequestError(f"The body is not UTF-8: byte 0x{body[error.start]:02x} at offset {error.start}.") from None
    except RecursionError:
        raise RequestError("The body is nested too deeply; expected a flat JSON object.") from None
    except ValueError as error:  # whole numbers of thousands of digits, too
        raise RequestError(f"The body is not JSON: {str(error)[:100]}.") from None


def _no_number(name: str) -> Any:
    raise refuse(name, "A number", "a number that JSON has")


def _handler(operation: Operation, models: Models, workers: Workers) -> Handler:
    """What answers the requests of an operation."""

    async def handle(request: Request) -> Response:
        if operation.fields is None:
            return _json(encoded(operation.answer(models, {})))
        try:
            values = operation.fields.read(await _body(request, workers.limits))
            answer = operation.answer(models, values)
            if isinstance(answer, Completion):
                if values["stream"]:
                    return _stream(answer, workers)
                answer = answer.work()
            with workers.place(operation.is_long), _leaving(request.receive) as gone:
                return _json(encoded(await workers.finish(answer, operation.is_long, gone)))
        except MemoryError:
            return _refused(RequestError("The memory is used up; ask for less.", 503, "overloaded"))
        except GoneError:
            return _json(b"", 499)  # nobody reads it
        except RnnlmError as error:
            return _refused(error)

    return handle


@contextmanager
def _leaving(receive: Receive) -> Iterator[asyncio.Future[None]]:
    """Is done when the client has left."""

    async def wait() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    gone = asyncio.ensure_future(wait())
    try:
        yield gone
    finally:
        gone.cancel()


def _stream(completion: Completion, workers: Workers) -> Response:
    """Server-sent events: every piece as it is made. Its place is taken now, and given back when it has ended."""
    from starlette.responses import Response

    place = workers.place(True)
    place.__enter__()

    class Events(Response):
        media_type = "text/event-stream"

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
            headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
            try:
                with _leaving(receive) as gone:
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    async with asyncio.timeout(workers.limits.seconds):
                        await _send_pieces(completion, workers, gone, send)
            except TimeoutError:
                await _send_event(send, error_body(str(workers.late()), "timeout"))
            except (RnnlmError, MemoryError) as error:
                await _send_event(send, error_body(str(error) or "The memory is used up.", "server_error"))
            finally:
                place.__exit__(None, None, None)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return Events()


async def _send_pieces(completion: Completion, workers: Workers, gone: asyncio.Future[None], send: Send) -> None:
    work, done = completion.work(), False
    while not done and not gone.done():
        done, _ = await workers.slice(work, True)
        for piece in completion.take():
            await _send_event(send, piece)
    if done:
        if (completion.arguments["stream_options"] or {}).get("include_usage"):
            await _send_event(send, completion.last_chunk())
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True})


async def _send_event(send: Send, value: Any) -> None:
    await send({"type": "http.response.body", "body": b"data: " + encoded(value) + b"\n\n", "more_body": True})


# --- running ------------------------------------------------------------------------------------------------------


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is a free one.

    Raises:
        ServeError: it can not be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if sys.platform != "win32":  # there it would let two programs have one port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServeError(
            f"The server can not listen on {host} port {port}: {reason}. Choose another --port (0: any that is free) "
            "or --host."
        ) from None
    return listener


def run(app: Application, listener: socket.socket) -> None:
    """Serve until a signal ends it; requests that were accepted are answered first, if that is soon.

    Raises:
        ServeError: uvicorn is not installed.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise ServeError(
            f"The server needs uvicorn, which can not be loaded ({error}). Install it with: pip install "
            "'rnnlm-cli[serve]'"
        ) from None
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        backlog=BACKLOG,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE,
    )
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    try:
        with closing(listener):
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        sys.setswitchinterval(before)
