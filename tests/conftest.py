"""Fixtures for all tests. BLAS gets one thread, as on the command line, since rnnlm splits the work itself."""

import builtins
import json
import os
import signal

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is first imported
os.environ["LC_ALL"] = "C.UTF-8"  # messages are in English, whatever the user's language
os.environ.pop("RNNLM_LANG", None)

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings

from rnnlm.cli import run
from tests.sentences import SENTENCES

collect_ignore = ["stress"]  # programs to be run by hand; tests use parts of them

settings.register_profile("rnnlm", deadline=None)  # a slow test is not a failed one
settings.load_profile("rnnlm")

# Tests send SIGINT to themselves and their children, but shells let background jobs ignore it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Keep tests away from the user's cache."""
    monkeypatch.setenv("RNNLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RNNLM_CACHE_LIMIT", raising=False)


@pytest.fixture(scope="session")
def data_dir():
    """Folder with real texts: $RNNLM_DATA."""
    named = os.environ.get("RNNLM_DATA")
    folder = Path(named or "")
    if not named or not folder.is_dir():
        reason = f"no real texts{f' in {folder}' if named else ''}; set RNNLM_DATA to a folder that has them"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


class Printed(NamedTuple):
    """Output of a command."""

    out: str
    err: str

    @property
    def json(self) -> Any:
        """The only object that --json printed."""
        return json.loads(self.out)

    @property
    def objects(self) -> list[Any]:
        """The objects that --json printed, one per line."""
        return [json.loads(line) for line in self.out.split("\n")[:-1]]

    @property
    def last(self) -> str:
        """The last line on stderr, where errors are reported."""
        return self.err.strip().splitlines()[-1]


@pytest.fixture
def rnnlm(capsys):
    """Run a command line in this process and return its output: rnnlm("info", path, "--json").json.

    The command must exit with `code`. One that fails must print its error to stderr only, without a traceback.
    """

    def run_it(*arguments: object, code: int = 0) -> Printed:
        capsys.readouterr()
        assert run([str(each) for each in arguments]) == code
        printed = Printed(*capsys.readouterr())
        if code:
            assert printed.out == ""
            assert "Traceback" not in printed.err
            assert printed.err.strip()
        return printed

    return run_it


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A repetitive text of a few words, long enough for a few batches."""
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(SENTENCES * 20) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make matplotlib appear not to be installed."""
    real = builtins.__import__

    def missing(name, *arguments, **options):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
