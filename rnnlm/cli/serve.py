"""rnnlm serve: serve models over HTTP, with a page to play with them."""

import ipaddress
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from rnnlm.blas import use_threads
from rnnlm.cli.loading import load_model
from rnnlm.cli.printing import note
from rnnlm.cli.shared_options import DEFAULT_MODEL, cache_options, threads_option

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SHORTEST_KEY = 8


def _key(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and (
        len(value) < SHORTEST_KEY or not value.isascii() or not value.isprintable() or " " in value
    ):
        raise click.BadParameter(
            f"expected at least {SHORTEST_KEY} printable ASCII characters without spaces.", ctx, param
        )
    return value


@click.command()
@click.option(
    "-m",
    "--model",
    "model_paths",
    type=click.Path(path_type=Path),
    envvar="RNNLM_MODEL",
    multiple=True,
    show_default="$RNNLM_MODEL, else rnnlm.npz",
    help="Checkpoint or ARPA file to serve; repeatable.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; one open to other machines needs --api-key.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0: any free one.")
@click.option("--api-key", callback=_key, default=None, help="Key that every request must send.")
@click.option(
    "--allow-host",
    multiple=True,
    help="Further host name that browsers may use for this server, such as a proxy's; repeatable.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@cache_options
@threads_option
def serve(
    model_paths: tuple[Path, ...],
    host: str,
    port: int,
    api_key: str | None,
    allow_host: tuple[str, ...],
    opens: bool,
    cache: tuple[int, float, float] | None,
    threads: int | None,
) -> int:
    """Serve models on this machine: a page to play with them, and an HTTP interface.

    \b
    rnnlm serve                          then open http://127.0.0.1:8000
    rnnlm serve -m a.npz -m b.npz        several models, by the names a and b

    /v1/completions follows OpenAI's convention; /openapi.json describes all endpoints. Ctrl-C stops the server.
    """
    if not host.strip():
        raise click.UsageError("--host is empty; expected an address such as 127.0.0.1.")
    if not _is_loopback(host) and api_key is None:
        raise click.UsageError(
            f"--host {host} opens the server to other machines, and whoever reaches the port could use the models; "
            "give an --api-key, or leave --host at 127.0.0.1."
        )
    threads = use_threads(threads)
    from rnnlm.playground import server
    from rnnlm.playground.served import ServedModel, unique_names

    paths = model_paths or (Path(DEFAULT_MODEL),)
    names = unique_names([path.stem for path in paths])
    listener = server.listen(host, port)
    with listener:
        models = [ServedModel(name, load_model(path, cache=cache)) for name, path in zip(names, paths, strict=True)]
        app = server.application(models, threads, names=[host, socket.gethostname(), *allow_host], api_key=api_key)
        web_server = server.web_server(app)
        address = _address(listener)
        click.echo(f"Serving {', '.join(names)} on {address}")
        note("Press Ctrl-C to stop.")
        if opens:
            click.launch(address)
        with _received() as received:
            server.run(web_server, listener)
    note("Stopped.")
    return 128 + received[0] if received else 0


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK


def _address(listener: socket.socket) -> str:
    """Return the URL for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _received() -> Iterator[list[int]]:
    """Record signals while the server runs: uvicorn raises the signal that stopped it again after its shutdown."""
    received: list[int] = []
    previous: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in previous:
        signal.signal(number, lambda number, frame: received.append(number))
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
