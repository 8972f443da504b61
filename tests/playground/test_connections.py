"""Slow clients, many clients, and clients that send something other than HTTP, over real connections."""

import contextlib
import json
import logging
import socket
import threading
import time

import pytest

from rnnlm.playground.connections import PERIOD, RECORDS, Sparing, most_connections
from rnnlm.playground.work import Limits

SECONDS = 60  # until a test fails
QUICK = Limits(head_seconds=0.3, keep_alive=1, send_seconds=0.5, connections=8, places=4, long_places=2)
STREAM = {"model": "characters", "prompt": "th", "max_tokens": 4000, "stream": True}
LARGE = {"model": "characters", "prompt": "the tin hat " * 400, "echo": True, "logprobs": 20, "n": 2, "max_tokens": 0}


class Records(logging.Handler):
    """Collects log records."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(record)


class Place:
    """A running server."""

    def __init__(self, port: int, records: Records) -> None:
        self.port, self.records = port, records

    def connect(self, receives: int | None = None) -> socket.socket:
        """Open a connection. receives: size of its receive buffer in bytes."""
        opened = socket.socket()
        if receives:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        opened.settimeout(SECONDS)
        opened.connect(("127.0.0.1", self.port))
        return opened

    def ask(self, content: bytes) -> bytes:
        """Send a request and return the whole answer."""
        with self.connect() as opened:
            opened.sendall(content)
            return rest_of(opened)

    def wait_until_answered(self, content: bytes) -> None:
        """Repeat a request until it is answered, since it is refused while all places are taken."""
        end = time.monotonic() + SECONDS
        while not self.ask(content).startswith(WELL):
            assert time.monotonic() < end
            time.sleep(0.05)

    def log(self) -> list[str]:
        """Return messages that were logged as errors or with a traceback."""
        return [each.getMessage() for each in self.records.all if each.levelno >= logging.ERROR or each.exc_info]


def rest_of(opened: socket.socket) -> bytes:
    """Return everything that arrives until the connection is closed."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := opened.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def post(body, path: str = "/v1/completions", more: str = "") -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


CLOSE = "Connection: close\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
WELL = b"HTTP/1.1 200 OK"


@pytest.fixture(scope="module")
def start(serve, characters, words):
    """A function that starts a server with the given limits."""
    pytest.importorskip("uvicorn")
    from rnnlm.playground.server import LOGGERS, listen, web_server

    with contextlib.ExitStack() as stack:

        def begin(limits: Limits) -> Place:
            records = Records()
            server = web_server(serve({"characters": characters, "words": words}, limits=limits).app, limits)
            for name in LOGGERS:
                logging.getLogger(name).addHandler(records)
                stack.callback(logging.getLogger(name).removeHandler, records)
            listener = stack.enter_context(listen("127.0.0.1", 0))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)  # so that little unread data is buffered
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(setattr, server, "should_exit", True)
            return Place(listener.getsockname()[1], records)

        yield begin


@pytest.fixture(scope="module")
def place(start) -> Place:
    return start(QUICK)


# --- request heads and numbers of connections ---------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-a: "])
def test_an_incomplete_head_times_out(place, sent):
    with place.connect() as opened:
        opened.sendall(sent)
        assert rest_of(opened) == b""


def test_a_head_that_trickles_in_times_out(place):
    with place.connect() as opened, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            opened.sendall(b"G")
            time.sleep(0.05)
    assert time.monotonic() < end


@pytest.mark.parametrize("sent", [b"", b"GET /hea"])
def test_an_incomplete_second_head_times_out(place, sent):
    with place.connect() as opened:
        opened.sendall(HEALTH.replace(b"Connection: close\r\n", b""))
        assert opened.recv(15, socket.MSG_WAITALL) == WELL
        opened.sendall(sent)
        assert rest_of(opened).endswith(b'{"status":"ok"}')


def test_requests_may_be_pipelined(place):
    assert place.ask(HEALTH.replace(b"Connection: close\r\n", b"") * 3 + HEALTH).count(WELL) == 4


def test_idle_connections_are_closed_for_new_requests(place):
    with contextlib.ExitStack() as stack:
        asking = stack.enter_context(place.connect())
        asking.sendall(post(STREAM, more=CLOSE))
        for number in range(4 * QUICK.connections):
            opened = stack.enter_context(place.connect())
            opened.sendall([b"", b"GET /", post(STREAM)[:-1]][number % 3])
        place.wait_until_answered(HEALTH)
        assert rest_of(asking).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_a_request_is_refused_if_all_connections_are_busy(start):
    place = start(Limits(connections=2))
    with place.connect() as first, place.connect() as second:
        for opened in (first, second):
            opened.sendall(post(STREAM))
            assert opened.recv(15, socket.MSG_WAITALL) == WELL
        answer = place.ask(HEALTH)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in answer
    assert b"content-security-policy: " in answer
    assert b'"overloaded"' in answer


def test_the_limit_of_connections_is_below_that_of_open_files(monkeypatch):
    resource = pytest.importorskip("resource")
    for files, expected in [(128, 32), (1024, 480), (1 << 20, 512), (70, 8), (resource.RLIM_INFINITY, 512)]:
        monkeypatch.setattr(resource, "getrlimit", lambda kind, files=files: (files, files))
        assert most_connections(Limits()) == expected


# --- answers that nobody reads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [STREAM, LARGE, LARGE | {"stream": True}])
def test_a_client_that_does_not_read_loses_its_place(place, body):
    with contextlib.ExitStack() as stack:
        for _ in range(QUICK.long_places):
            opened = stack.enter_context(place.connect(receives=2048))
            opened.sendall(post(body))
        place.wait_until_answered(post({"prompt": "我", "max_tokens": 1}, more=CLOSE))
    assert place.log() == []


def test_a_slow_reader_gets_the_whole_answer(start):
    """The whole answer takes longer than the time limit for a part of it."""
    place = start(Limits(send_seconds=1))
    with place.connect() as opened:
        opened.sendall(post(LARGE | {"n": 1, "prompt": "the tin hat " * 200}, more=CLOSE))
        parts, begun = [], time.monotonic()
        while part := opened.recv(1 << 15):
            parts.append(part)
            time.sleep(0.05)
    assert time.monotonic() - begun > 1
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    assert head.startswith(WELL)
    assert len(json.loads(body)["choices"][0]["logprobs"]["tokens"]) == 2400


# --- input that is not HTTP ---------------------------------------------------------------------------------------

CHUNKED = (
    b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
NO_HTTP = [
    b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 30_000,
    CHUNKED + b"zz\r\nabc\r\n",
    CHUNKED + b"5\r\nabcdefgh\r\n",
]


@pytest.mark.parametrize("sent", NO_HTTP)
def test_input_that_is_not_http_is_refused_with_the_usual_headers(place, sent):
    head, _, body = place.ask(sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    for header in [
        b"content-security-policy: default-src",
        b"x-content-type-options: nosniff",
        b"x-frame-options: DENY",
    ]:
        assert b"\r\n" + header in head
    assert json.loads(body)["error"]["code"] == "not_http"
    assert place.ask(HEALTH).startswith(WELL)
    assert place.log() == []


def test_garbage_after_a_request_ends_its_answer(place):
    with place.connect() as opened:
        opened.sendall(post(STREAM))
        assert opened.recv(15, socket.MSG_WAITALL) == WELL
        opened.sendall(b"\x00" * 200 + b"\r\n\r\n")
        rest_of(opened)
    place.wait_until_answered(HEALTH)
    assert place.log() == []


@pytest.mark.parametrize("sent", [1, 60, -1, None])
@pytest.mark.parametrize("body", [STREAM, {"model": "characters", "prompt": "th", "max_tokens": 200}])
def test_a_client_that_disconnects_causes_no_log_entry(place, sent, body):
    for _ in range(10):
        with place.connect() as opened:
            head, _, content = post(body).partition(b"\r\n\r\n")
            opened.sendall(head + b"\r\n\r\n" + content[:sent])
    place.wait_until_answered(HEALTH)
    assert place.log() == []


@pytest.mark.parametrize("more", ["", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"])
def test_a_websocket_is_refused_with_a_sentence(place, more):
    before = len(place.records.all)
    for path in ["/", "/v1/completions"]:
        asked = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n{more}\r\n"
        with place.connect() as opened:
            opened.sendall(asked.encode())
            answer = rest_of(opened)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"There are no WebSockets here" in answer
        assert b"content-security-policy: " in answer
    assert place.records.all[before:] == []


def test_an_offer_of_another_protocol_is_ignored(place):
    before = len(place.records.all)
    offered = b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n"
    assert place.ask(HEALTH.replace(b"Connection: close\r\n", offered)).startswith(WELL)
    assert place.records.all[before:] == []


# --- the log ------------------------------------------------------------------------------------------------------


def test_repeated_log_records_are_limited_per_minute():
    spare, now = Sparing(), 1000.0

    def passed(message: str, *arguments: object, at: float = 0) -> list[str]:
        made = logging.LogRecord("uvicorn.error", logging.ERROR, "x.py", 1, message, arguments, None)
        made.created = now + at
        return [made.getMessage()] if spare.filter(made) else []

    first = [each for number in range(1000) for each in passed("failed %d times", number)]
    assert first[:4] == [f"failed {number} times" for number in range(4)]
    assert len(first) == RECORDS
    assert first[-1].endswith("not shown for 60 s)")
    assert passed("another kind") == ["another kind"]
    assert passed("failed %d times", 7, at=PERIOD + 1) == ["failed 7 times"]
    several = [each for number in range(500) for each in passed(f"accept failed\nsocket {number}")]
    assert len(several) == RECORDS
