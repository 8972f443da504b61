import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import CorpusError
from rnnlm.text import cache as cache_module
from rnnlm.text.cache import TEMPORARY_PREFIX, Cache, Description, IdFile, default_folder


def described(**changes):
    values = {"length": 3, "dtype": "uint8", "tokens": ["a"], "counts": [0, 0, 0, 3], "characters": 5, "bytes": 5}
    values["digest"] = "0"
    return Description(**(values | {"encodings": ["utf-8"], "forms": [], "tokenizer": {}} | changes))


def filled(folder, key="key", ids=(3, 3, 3), **changes):
    """A cache with one entry."""
    cache = Cache(folder)
    with cache.writing() as file:
        file.write(np.array(ids), types=1)
        cache.store(key, file, described(length=len(ids), counts=file.counts.tolist(), **changes))
    return cache


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_an_entry_is_found_again(tmp_path):
    cache = filled(tmp_path)
    assert names(tmp_path) == ["key.ids", "key.json"]
    assert cache.find("key") == described()
    assert np.fromfile(cache.ids_path("key"), dtype=np.uint8).tolist() == [3, 3, 3]
    assert cache.find("other") is None
    assert cache.notes == []


@given(st.lists(st.lists(st.one_of(st.integers(0, 260), st.integers(0, 70_000)), max_size=5), max_size=5))
def test_ids_of_any_size_are_written_in_order(tmp_path_factory, chunks):
    highest, total = 2, []
    with pytest.MonkeyPatch.context() as patch, IdFile(tmp_path_factory.mktemp("ids")) as file:
        patch.setattr(cache_module, "COUNTED_IN_PAIRS", 3)
        for chunk in chunks:
            highest = max([highest, *chunk])
            total += chunk
            file.write(np.array(chunk, dtype=np.int64), types=highest - 2)
        file.finish()
        assert file.dtype == (np.uint8 if highest < 2**8 else np.uint16 if highest < 2**16 else np.uint32)
        assert np.fromfile(file.path, dtype=file.dtype).tolist() == total
        assert file.length == len(total)
        assert file.counts.tolist() == ([total.count(i) for i in range(highest + 1)] if chunks else [])
        folder = file.path.parent
    assert names(folder) == []


def test_a_failed_run_leaves_nothing(tmp_path):
    def interrupted():
        with Cache(tmp_path).writing() as file:
            file.write(np.array([3]), types=1)
            assert len(names(tmp_path)) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.os, "replace", full)
    with pytest.raises(CorpusError, match=r"No space left on device.*RNNLM_CACHE"):
        filled(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
        json.dumps(vars(described()) | {"more": 1}).encode(),
        json.dumps(vars(described(length=4))).encode(),
        json.dumps(vars(described(length=True))).encode(),
        json.dumps(vars(described(length="3"))).encode(),
        json.dumps(vars(described(dtype="uint32"))).encode(),
        json.dumps(vars(described(dtype="object"))).encode(),
        json.dumps(vars(described(dtype=["uint16"]))).encode(),
        json.dumps(vars(described(tokens=[1]))).encode(),
        json.dumps(vars(described(tokens="a"))).encode(),
        json.dumps(vars(described(counts=[0, 0, 0]))).encode(),
        json.dumps(vars(described(counts=[0, 0, 0, "3"]))).encode(),
        json.dumps(vars(described(counts=[0, 1, 0, 3]))).encode(),
        json.dumps(vars(described(counts=[0, -1, 1, 3]))).encode(),
        json.dumps(vars(described(counts=None))).encode(),
        json.dumps(vars(described(encodings=None))).encode(),
        json.dumps(vars(described(tokenizer=[]))).encode(),
        json.dumps(vars(described(digest=0))).encode(),
        json.dumps(vars(described(characters=-1))).encode(),
    ],
)
def test_a_damaged_description_is_no_entry(tmp_path, content):
    cache = filled(tmp_path)
    (tmp_path / "key.json").write_bytes(content)
    assert cache.find("key") is None


def test_half_an_entry_is_none(tmp_path):
    cache = filled(tmp_path)
    (tmp_path / "key.ids").write_bytes(b"12")
    assert cache.find("key") is None
    (tmp_path / "key.ids").unlink()
    assert cache.find("key") is None
    cache = filled(tmp_path)
    (tmp_path / "key.json").unlink()
    assert cache.find("key") is None


# Where


def test_the_folder_is_that_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("RNNLM_CACHE", "/named")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("HOME", "/home/me")
    assert default_folder() == Path("/named")
    monkeypatch.delenv("RNNLM_CACHE")
    assert default_folder() == Path("/xdg/rnnlm")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path("/home/me/.cache/rnnlm")
    assert Cache(tmp_path).folder == tmp_path


@pytest.mark.skipif(os.name != "posix", reason="permissions are others here")
def test_texts_are_kept_from_other_users(tmp_path):
    filled(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_without_a_place_for_it_the_cache_is_temporary_and_removed_at_the_end(tmp_path):
    (tmp_path / "file").write_text("no folder can be here")
    code = """
import numpy as np
from rnnlm.text.cache import Cache, Description
cache = Cache()
with cache.writing() as file:
    file.write(np.array([3]), 1)
    cache.store("key", file, Description(1, "uint8", ["a"], [0, 0, 0, 1], 1, 1, "", ["utf-8"], [], {}))
print(cache.folder, cache.ids_path("key").exists(), *cache.notes, sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ
        | {"PYTHONPATH": str(Path(__file__).parents[2]), "RNNLM_CACHE": str(tmp_path / "file" / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    folder, existed, note = done.stdout.splitlines()
    assert existed == "True"
    assert not Path(folder).exists()
    assert str(tmp_path / "file" / "cache") in note
    assert done.stderr == ""


# How much


def test_the_least_recently_used_entries_go(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNLM_CACHE_LIMIT", "30")  # an entry has 10 bytes
    for age, key in enumerate(["new", "middle", "old"]):
        filled(tmp_path, key, ids=[3] * 10)
        os.utime(tmp_path / f"{key}.json", (1000 - age, 1000 - age))
    assert Cache(tmp_path).find("old") is not None  # a use makes it young again
    filled(tmp_path, "newest", ids=[3] * 10)
    assert names(tmp_path) == [f"{key}.{end}" for key in ("new", "newest", "old") for end in ("ids", "json")]
    monkeypatch.setenv("RNNLM_CACHE_LIMIT", "1")
    filled(tmp_path, "large", ids=[3] * 10)
    assert names(tmp_path) == ["large.ids", "large.json"]  # what is being used stays


def test_what_is_known_of_texts_goes_when_it_is_not_used(tmp_path):
    for name, time in {"old.seen": 1000, "new.seen": None}.items():
        (tmp_path / name).write_bytes(b"{}")
        if time:
            os.utime(tmp_path / name, (time, time))
    filled(tmp_path)
    assert names(tmp_path) == ["key.ids", "key.json", "new.seen"]


def test_what_killed_runs_left_goes_after_a_day(tmp_path):
    for name, time in {"old": 1000, "new": None}.items():
        path = tmp_path / f"{TEMPORARY_PREFIX}{name}"
        path.write_bytes(b"half")
        if time:
            os.utime(path, (time, time))
    filled(tmp_path)
    assert names(tmp_path) == [f"{TEMPORARY_PREFIX}new", "key.ids", "key.json"]


@pytest.mark.parametrize(
    ("size", "expected"), [("0", 0), ("500", 500), ("2K", 2000), ("20g", 20 * 10**9), ("1 TB", None)]
)
def test_limits(monkeypatch, tmp_path, size, expected):
    monkeypatch.setenv("RNNLM_CACHE_LIMIT", size)
    if expected is None:
        with pytest.raises(CorpusError, match="RNNLM_CACHE_LIMIT"):
            Cache(tmp_path)
    else:
        assert Cache(tmp_path).limit == expected
