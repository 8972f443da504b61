"""Fixtures for all tests. BLAS gets one thread, as the command line gives it: rnnlm shares out the columns itself."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is first imported

from pathlib import Path

import pytest


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
