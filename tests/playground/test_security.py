"""Which hosts, origins and keys are accepted, and what an answer can do in a browser."""

import hmac
import tomllib
from pathlib import Path

import pytest

from rnnlm.playground.page import page_files

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "rnnlm" / "playground" / "static"
HOSTILE = "<img/src=x/onerror=alert(1)>"
KEY = "correct-horse-battery"


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST:1", "localhost.", "127.0.0.1:8000", "[::1]:8000", "192.168.1.7"],
)
def test_requests_to_names_and_addresses_of_this_machine_are_answered(client, host):
    assert client.ask("GET", "/healthz", headers={"host": host}).value == {"status": "ok"}


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8000", "localhost.evil.example", "localhost@evil.example",
        "evil.example/localhost", "127.0.0.1.evil.example", "", None,
        "localhost:99999", "[::1", "user@localhost", "127.1.nip.io",
    ],
)  # fmt: skip
def test_a_foreign_host_is_refused(client, host):
    for method, path in [("GET", "/"), ("GET", "/healthz"), ("POST", "/api/predict")]:
        answer = client.ask(method, path, {"text": ""} if method == "POST" else None, {"host": host})
        assert answer.status == 403
        assert "Host" in answer.message


def test_an_allowed_name_is_answered(serve, words):
    client = serve({"words": words}, names=["models.example"])
    assert client.ask("GET", "/healthz", headers={"host": "models.example"}).status == 200
    assert client.ask("GET", "/healthz", headers={"host": "other.example"}).status == 403


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost:9000", "http://localhost", "file://", "http://127.0.0.1:8000"],
)
def test_a_foreign_origin_is_refused(client, origin):
    answer = client.ask("POST", "/api/predict", {"text": ""}, {"host": "localhost:8000", "origin": origin})
    assert answer.status == 403
    assert "Origin" in answer.message


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("localhost", "http://localhost"),
        ("localhost", "https://localhost:443"),
        ("[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_servers_own_page_may_send_requests(client, host, origin):
    assert client.ask("POST", "/api/predict", {"text": ""}, {"host": host, "origin": origin}).status == 200


def test_no_other_site_may_read_an_answer(client):
    preflight = client.ask("OPTIONS", "/api/predict", headers={"access-control-request-method": "POST"})
    assert preflight.status == 405
    for answer in [preflight, client.post("/api/predict", text="")]:
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_every_answer_has_the_security_headers(client):
    answers = [
        client.ask("GET", "/"),
        client.ask("GET", "/static/app.js"),
        client.ask("GET", "/healthz"),
        client.ask("GET", "/openapi.json"),
        client.ask("GET", "/nothing"),
        client.ask("DELETE", "/healthz"),
        client.ask("GET", "/healthz", headers={"host": "evil.example"}),
        client.post("/api/predict", text=""),
        client.post("/api/predict", text=1),
        client.post("/v1/completions", prompt="", stream=True),
    ]
    assert {answer.status for answer in answers} == {200, 400, 403, 404, 405}
    for answer in answers:
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"


def test_an_internal_error_reveals_nothing_and_has_the_security_headers(serve, words, monkeypatch):
    def fail(*arguments, **values):
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr("rnnlm.playground.served.ServedModel.predict", fail)
    answer = serve({"words": words}).post("/api/predict", text="")
    assert answer.status == 500
    assert "content-security-policy" in answer.headers
    assert "secret" not in answer.message
    assert answer.value["error"]["type"] == "server_error"


# --- the page and hostile tokens ----------------------------------------------------------------------------------


def test_only_the_page_is_html(serve, hostile):
    client = serve({HOSTILE: hostile})
    answers = [
        client.post("/api/predict", text=""),
        client.post("/api/surprise", text="word1", k=20),
        client.post("/api/predict", model=HOSTILE + "?", text=""),
        client.post("/v1/completions", prompt=HOSTILE, echo=True, stream=True),
        client.ask("GET", "/v1/models"),
    ]
    for answer in answers:
        assert HOSTILE.encode() in answer.body.replace(b"\\", b"")
        assert answer.headers["content-type"].partition(";")[0] in ("application/json", "text/event-stream")
    assert HOSTILE.encode() not in client.ask("GET", "/").body


@pytest.fixture(scope="session")
def hostile(words):
    from rnnlm.language_model import LanguageModel
    from rnnlm.text.vocabulary import Vocabulary

    tokens = [HOSTILE, *(f"word{number}" for number in range(len(words.vocabulary) - 4))]
    return LanguageModel(words.tokenizer, Vocabulary(tokens, [1] * len(tokens)), words.predictor, "sentence")


def test_the_page_is_served_unchanged(client):
    answer = client.ask("GET", "/")
    assert answer.body == (STATIC / "index.html").read_bytes()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for path in STATIC.iterdir():
        if path.name != "index.html":
            answer = client.ask("GET", f"/static/{path.name}")
            assert answer.body == path.read_bytes()
            assert answer.headers["content-type"].partition(";")[0] in ("text/javascript", "text/css", "image/svg+xml")


def test_the_package_data_includes_the_page():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["rnnlm"]
    assert len(page_files()) > 3
    for path in (path for path in STATIC.rglob("*") if path.is_file()):
        assert any(path.relative_to(ROOT / "rnnlm").match(pattern) for pattern in patterns), path


@pytest.mark.parametrize(
    "path",
    [
        "/static/", "/static", "/static/../server.py", "/static/..%2fserver.py", "/static/..\\server.py",
        "/../server.py", "/static//etc/passwd", "//etc/passwd",
        "/static/./app.js", "/static/app.js/", "/static/app.js\0.txt",
        "/static/%2e%2e/server.py", "/server.py", "/static/\u2025/server.py", "/rnnlm.npz", "/index.html",
    ],
)  # fmt: skip
def test_no_other_file_is_served(client, path):
    answer = client.ask("GET", path)
    assert answer.status == 404
    assert "location" not in answer.headers


# --- the key ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def locked(serve, words):
    return serve({"words": words}, api_key=KEY)


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/healthz"])
def test_the_page_and_healthz_need_no_key(locked, path):
    assert locked.ask("GET", path).status == 200


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", KEY, f"Basic {KEY}", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", "Bearer \xff\xfe"],
)
def test_all_other_paths_need_the_key(locked, header):
    for method, path in [("GET", "/v1/models"), ("GET", "/openapi.json"), ("POST", "/api/predict"), ("GET", "/x")]:
        answer = locked.ask(method, path, {"text": ""} if method == "POST" else None, {"authorization": header})
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert KEY not in answer.message


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_request_with_the_key_is_answered(locked, scheme):
    assert locked.ask("GET", "/v1/models", headers={"authorization": f"{scheme} {KEY}"}).status == 200


def test_the_key_is_compared_in_constant_time(locked, monkeypatch):
    compared = []

    def compare_digest(a, b):
        compared.append((a, b))
        return original(a, b)

    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    assert locked.ask("GET", "/v1/models", headers={"authorization": "Bearer wrong"}).status == 401
    assert compared == [(b"wrong", KEY.encode())]
