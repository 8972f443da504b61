"""`rnnlm serve`: starting, refusals and stopping."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rnnlm.cli import run

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

ROOT = Path(__file__).parents[2]
LINES = "the cat sat on the mat\nthe dog sat on the cat\n" * 10
SECONDS = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """An n-gram model, the smallest kind."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "corpus.txt").write_text(LINES, encoding="utf-8")
    path = folder / "model.npz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNLM_CACHE", str(folder / "cache"))
        assert run(["ngram", "train", str(folder / "corpus.txt"), "-o", str(path), "--order", "2"]) == 0
    return path


class Served:
    """`rnnlm serve` in a separate process."""

    def __init__(self, *arguments) -> None:
        command = [sys.executable, "-m", "rnnlm", "serve", "--port", "0", *map(str, arguments)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RNNLM_MODEL")}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )
        self.first_line = self.process.stdout.readline()
        found = re.search(r"http://\[?([\w.:]+?)\]?:(\d+)$", self.first_line)
        assert found is not None, self.process.communicate()
        self.host, self.port = found[1], int(found[2])

    def ask(self, method: str, path: str, body=None, headers=None):
        """Send a request; return the status and the JSON value of the answer."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"content-type": "application/json"} | (headers or {}))
        answer = connection.getresponse()
        value = answer.status, json.loads(answer.read())
        connection.close()
        return value

    def stop(self, number: int) -> tuple[int, str]:
        """Stop the server with a signal; return its exit code and stderr."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_with_128_plus_its_number(model, number):
    served = Served("-m", model, "-m", model)
    assert served.first_line == f"Serving model, model-2 on http://127.0.0.1:{served.port}\n"
    assert served.ask("GET", "/healthz") == (200, {"status": "ok"})
    idle = socket.create_connection((served.host, served.port))
    stream = http.client.HTTPConnection(served.host, served.port, timeout=SECONDS)
    body = {"prompt": "the", "stream": True, "max_tokens": 1}
    stream.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
    assert stream.getresponse().status == 200  # the connection is kept alive
    code, errors = served.stop(number)
    idle.close()
    stream.close()
    assert code == 128 + number
    assert errors.splitlines() == ["Press Ctrl-C to stop.", "Stopped."]


def test_other_machines_need_the_key(model):
    served = Served("-m", model, "--host", "0.0.0.0", "--api-key", "a-long-secret")
    assert served.host == "127.0.0.1"
    assert "a-long-secret" not in served.first_line
    status, refusal = served.ask("GET", "/v1/models")
    assert (status, refusal["error"]["type"]) == (401, "authentication_error")
    status, models = served.ask("GET", "/v1/models", headers={"authorization": "Bearer a-long-secret"})
    assert (status, models["data"][0]["id"]) == (200, "model")
    assert served.stop(signal.SIGTERM)[0] == 143


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "0.0.0.0"], "give an --api-key"),
        (["--host", "::"], "give an --api-key"),
        (["--host", "192.168.0.1"], "give an --api-key"),
        (["--host", " "], "--host is empty"),
        (["--api-key", "short"], "at least 8 printable ASCII characters"),
        (["--api-key", "with a space"], "without spaces"),
        (["--port", "70000"], "70000 is not in the range"),
        (["--threads", "0"], "--threads"),
    ],
)
def test_wrong_options_are_a_usage_error(model, arguments, sentence, rnnlm):
    assert sentence in " ".join(rnnlm("serve", "-m", model, *arguments, code=2).err.split())


def test_files_that_are_not_models_are_refused(tmp_path, monkeypatch, rnnlm):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RNNLM_MODEL", raising=False)
    (tmp_path / "text.npz").write_text("no model", encoding="utf-8")
    for arguments in [[], ["-m", "missing.npz"], ["-m", "text.npz"]]:
        assert "rnnlm.npz" if not arguments else arguments[1] in rnnlm("serve", "--port", "0", *arguments, code=1).err


def test_a_port_in_use_is_refused(rnnlm, model):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        error = rnnlm("serve", "-m", model, "--port", port, code=1).err
    assert f"cannot listen on 127.0.0.1 port {port}" in error
    assert "another --port" in error


def test_an_address_of_another_machine_is_refused(model, rnnlm):
    assert (
        "cannot listen on 203.0.113.1"
        in rnnlm("serve", "-m", model, "--host", "203.0.113.1", "--api-key", "12345678", code=1).err
    )


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_a_missing_package_is_named_with_the_remedy(capsys, model, monkeypatch, package):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert run(["serve", "-m", str(model), "--port", "0"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""  # no address is announced
    assert "pip install 'rnnlm-cli[serve]'" in printed.err
    assert "Traceback" not in printed.err
