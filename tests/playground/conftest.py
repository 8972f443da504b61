"""Small models with random weights, and a client that calls the application without a network."""

import asyncio
import contextlib
import json
import os
import shutil
from typing import Any, NamedTuple

import numpy as np
import pytest

from rnnlm.baselines.ngram import NgramModel
from rnnlm.language_model import LanguageModel
from rnnlm.model_header import network_of
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.tokenizers import CharTokenizer, WordTokenizer
from rnnlm.text.vocabulary import EOS, Vocabulary

WORDS = ["我", "昨天", "上学", "迟到", "了", "，", "。", "老师", "批评", "学校", "the", "cat", "Paris"]
CHARACTERS = list("etaoinshrdlu \n.,\"'TH")
JSON = {"content-type": "application/json"}


def random_model(tokenizer, tokens: list[str], **config) -> LanguageModel:
    """Return an untrained model with random weights."""
    vocabulary = Vocabulary(tokens, [1] * len(tokens))
    settings = NetworkConfig(len(vocabulary), **{"hidden_size": 12, "num_layers": 2, "embedding_size": 6} | config)
    kind = BidirectionalNetwork if settings.bidirectional else Network
    params = dict(kind.initialize(settings, np.random.default_rng(1)).params)
    params["output.weight"] = 6 * params["output.weight"]  # so that contexts matter
    context = "stream" if isinstance(tokenizer, CharTokenizer) else "sentence"
    return LanguageModel(tokenizer, vocabulary, network_of(settings, params), context)


@pytest.fixture(scope="session")
def words() -> LanguageModel:
    return random_model(WordTokenizer(), WORDS, cell="gru")


@pytest.fixture(scope="session")
def characters() -> LanguageModel:
    return random_model(CharTokenizer(), CHARACTERS, cell="lstm")


@pytest.fixture(scope="session")
def both() -> LanguageModel:
    return random_model(WordTokenizer(), WORDS, bidirectional=True)


@pytest.fixture(scope="session")
def ngram() -> LanguageModel:
    vocabulary = Vocabulary(WORDS, [1] * len(WORDS))
    ids = np.array([3, 4, 5, 9, EOS, 3, 4, 6, 7, 9, EOS, 10, 11, 3, 9, EOS] * 3, dtype=np.int32)
    return LanguageModel(WordTokenizer(), vocabulary, NgramModel.train(ids, len(vocabulary), 2), "sentence")


class Answer(NamedTuple):
    """Answer to a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.value["error"]["message"]

    @property
    def events(self) -> list[Any]:
        """The values of the server-sent events, without the last one, which must be [DONE]."""
        lines = self.body.decode().split("\n\n")
        assert lines[-2:] == ["data: [DONE]", ""]
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


async def request(
    app, method: str, path: str, body=None, headers=None, leaves=False, arrives=True, reads=None
) -> Answer:
    """Send a request to an ASGI application.

    body: a value that is sent as JSON, or bytes. leaves: the client disconnects after sending. arrives: the body is
    sent at all. reads: number of the server's messages that are read; all if None.
    """
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    wanted = {"host": "localhost:8000"} | (JSON if method == "POST" else {}) | (headers or {})
    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in wanted.items() if value is not None]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": pairs,
        "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    messages = [{"type": "http.request", "body": content, "more_body": False}] if arrives else []
    sent: list[Any] = []

    async def receive():
        if messages:
            return messages.pop()
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if len(sent) == reads:
            await asyncio.Event().wait()
        sent.append(message)

    with contextlib.suppress(ZeroDivisionError):  # Starlette raises errors again after answering
        await app(scope, receive, send)
    if not sent:
        return Answer(0, {}, b"")
    found = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))


class Client:
    """Sends requests to an application."""

    def __init__(self, app) -> None:
        self.app = app

    def ask(self, method: str, path: str, body=None, headers=None, **how) -> Answer:
        return asyncio.run(request(self.app, method, path, body, headers, **how))

    def post(self, path: str, **body) -> Answer:
        return self.ask("POST", path, body)

    def value(self, path: str, **body) -> Any:
        """Return the JSON value of an answer, whose status must be 200."""
        answer = self.post(path, **body)
        assert answer.status == 200, answer.body
        return answer.value

    def together(self, *bodies: tuple[str, dict[str, Any]]) -> list[Answer]:
        """Send requests at the same time and return the answers."""

        async def ask_all():
            return await asyncio.gather(*(request(self.app, "POST", path, body) for path, body in bodies))

        return asyncio.run(ask_all())


@pytest.fixture(scope="session")
def serve():
    """A function that makes a client of a server of named models, with other limits or a key."""
    pytest.importorskip("starlette")
    from rnnlm.playground.served import ServedModel
    from rnnlm.playground.server import application

    def start(models: dict[str, LanguageModel], **options) -> Client:
        return Client(application([ServedModel(name, model) for name, model in models.items()], **options))

    return start


@pytest.fixture(scope="session")
def client(serve, words, characters, both, ngram) -> Client:
    """A client of all four models, of which "words" is the first."""
    return serve({"words": words, "characters": characters, "both": both, "ngram": ngram})


# --- a browser --------------------------------------------------------------------------------------------------------

ANSWERED = 10_000  # milliseconds


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium."""
    path = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    try:
        import uvicorn  # noqa: F401 - the server needs it
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        missing = f"{error.name} is not installed: pip install -e '.[test]'"
    else:
        missing = "" if path else "no Chromium here; on Debian: apt install chromium"
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])  # CI may run as root
        yield started
        started.close()


@pytest.fixture
def expect(browser):
    """Playwright's assertions, which wait.

    `page.wait_for_function` cannot replace them: it may evaluate a string, which the page's Content-Security-Policy
    forbids.
    """
    from playwright.sync_api import expect

    expect.set_options(timeout=ANSWERED)
    return expect
