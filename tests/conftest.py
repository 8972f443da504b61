"""Fixtures for all tests. BLAS gets one thread, as the command line gives it: rnnlm shares out the columns itself."""

import builtins
import json
import os
import signal

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is first imported
os.environ["LC_ALL"] = "C.UTF-8"  # messages are English, whatever the language of the user who runs the tests
os.environ.pop("RNNLM_LANG", None)

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings

from rnnlm.cli import run
from tests.sentences import SENTENCES

collect_ignore = ["stress"]  # programs that a person starts; tests use parts of them

settings.register_profile("rnnlm", deadline=None)  # how long something takes is no pass or fail
settings.load_profile("rnnlm")

# Tests send signals to themselves and to what they start, and a shell lets its background jobs ignore this one.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """No test reads or writes the cache of the user who runs it."""
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
    """What a command has printed."""

    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object of --json."""
        return json.loads(self.out)

    @property
    def objects(self) -> list[Any]:
        """The objects of --json, one a line."""
        return [json.loads(line) for line in self.out.split("\n")[:-1]]

    @property
    def last(self) -> str:
        """The last line on stderr, where a failure is told."""
        return self.err.strip().splitlines()[-1]


@pytest.fixture
def rnnlm(capsys):
    """Run a command line in this process, which must end with `code`: rnnlm("info", path, "--json").json.

    One that fails must say why on stderr alone, and not by a traceback.
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
    """A text of a few words that repeats, long enough for a few batches."""
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(SENTENCES * 20) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if matplotlib were not installed."""
    real = builtins.__import__

    def missing(name, *arguments, **options):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
