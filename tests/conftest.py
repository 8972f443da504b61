"""Fixtures for all tests. BLAS gets one thread, as the command line gives it: rnnlm shares out the columns itself."""

import os
import signal

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is first imported

from pathlib import Path

import pytest
from hypothesis import settings

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
    """Folder with real texts: $RNNLM_DATA, or ../shared/data beside the repository."""
    named = os.environ.get("RNNLM_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        reason = f"no real texts in {folder}; set RNNLM_DATA to a folder that has them"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
