import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import CorpusError
from rnnlm.storage.atomic import TEMPORARY_PREFIX
from rnnlm.text import cache as cache_module
from rnnlm.text.cache import Cache, Description, IdFile, default_folder


def described(**changes):
    values = {"length": 3, "dtype": "uint8", "tokens": ["a"], "counts": [0, 0, 0, 3], "characters": 5, "bytes": 5}
    values |= {"digest": "0", "forms": [], "files": ["0"], "crc32": zlib.crc32(bytes([3, 3, 3]))}
    return Description(**(values | {"encodings": ["utf-8"], "tokenizer": {}} | changes))


def filled(folder, key="key", ids=(3, 3, 3), **changes):
    """Return a cache with one entry."""
    cache = Cache(folder)
    with cache.writing() as file:
        file.write(np.array(ids), types=1)
        cache.store(key, file, described(length=len(ids), counts=file.counts.tolist(), crc32=file.crc32, **changes))
    return cache


def written(description):
    """Return a description as written to a file, with the right checksum."""
    return json.dumps({**vars(description), "checksum": description.checksum()}).encode()


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_a_stored_entry_is_found(tmp_path):
    cache = filled(tmp_path)
    assert names(tmp_path) == ["key.ids", "key.json"]
    assert cache.find("key").description == described()
    assert cache.find("key").ids[:] == bytes([3, 3, 3])
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
        file.flush()
        assert file.dtype == (np.uint8 if highest < 2**8 else np.uint16 if highest < 2**16 else np.uint32)
        assert np.fromfile(file.path, dtype=file.dtype).tolist() == total
        assert file.length == len(total)
        assert file.crc32 == zlib.crc32(file.path.read_bytes())
        assert file.counts.tolist() == ([total.count(i) for i in range(highest + 1)] if chunks else [])
        folder = file.path.parent
    assert names(folder) == []


def test_a_failed_run_leaves_no_files(tmp_path):
    def interrupted():
        with Cache(tmp_path).writing() as file:
            file.write(np.array([3]), types=1)
            assert len(names(tmp_path)) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []


def test_a_full_disk_is_an_error_and_leaves_no_files(tmp_path, monkeypatch):
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
        written(described(length=4)),
        written(described(length=True)),
        written(described(length="3")),
        written(described(dtype="uint32")),
        written(described(dtype="object")),
        written(described(dtype=["uint16"])),
        written(described(tokens=[1])),
        written(described(tokens="a")),
        written(described(counts=[0, 0, 0])),
        written(described(counts=[0, 0, 0, "3"])),
        written(described(counts=[0, 1, 0, 3])),
        written(described(counts=[0, -1, 1, 3])),
        written(described(counts=None)),
        written(described(encodings=None)),
        written(described(tokenizer=[])),
        written(described(digest=0)),
        written(described(characters=-1)),
        written(described(tokens=[""])),
        written(described(tokens=["a", "a"], counts=[0, 0, 0, 3, 0])),
        written(described(crc32=0)),
        written(described(crc32="0")),
        json.dumps(vars(described())).encode(),
        written(described()).replace(b'"a"', b'"b"'),
        b" " * 5_000_000,
    ],
)
def test_a_damaged_description_is_reported_and_not_used(tmp_path, content):
    cache = filled(tmp_path)
    (tmp_path / "key.json").write_bytes(content)
    assert cache.find("key") is None
    assert len(cache.notes) == 1
    assert "damaged" in cache.notes[0]


def test_an_intact_description_is_used(tmp_path):
    cache = filled(tmp_path)
    assert (tmp_path / "key.json").read_bytes() == written(described())
    (tmp_path / "key.json").write_bytes(written(described()))
    assert cache.find("key") is not None


@given(st.data())
def test_a_changed_byte_is_detected(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("cache")
    cache = filled(folder, ids=[3] * 5000)
    path = folder / data.draw(st.sampled_from(["key.ids", "key.json"]))
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4, unique=True)):
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    found = cache.find("key")  # the same JSON can be written differently
    assert found is None or (path.suffix == ".json" and found.description.tokens == ["a"])


@pytest.mark.parametrize("kind", ["fifo", "link to /dev/zero", "folder", "link to nothing"])
@pytest.mark.parametrize("end", ["ids", "json"])
@pytest.mark.skipif(os.name != "posix", reason="there are no such files here")
def test_only_regular_files_are_read(tmp_path, kind, end):
    cache = filled(tmp_path)
    path = tmp_path / f"key.{end}"
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "link to /dev/zero" else "nowhere")
    assert cache.find("key") is None
    if kind != "folder":
        assert filled(tmp_path).find("key") is not None  # the entry can be replaced


def test_an_open_entry_can_be_read_after_another_process_removed_it(tmp_path):
    cache = filled(tmp_path)
    entry = cache.find("key")
    for path in tmp_path.iterdir():
        path.unlink()
    assert entry.ids[:] == bytes([3, 3, 3])
    assert cache.find("key") is None
    assert cache.notes == []


@pytest.mark.skipif(os.name != "posix", reason="a mapped file cannot be removed here")
def test_a_stored_entry_can_be_read_if_another_process_removes_it_at_once(tmp_path, monkeypatch):
    def removing(cache, newest):
        for path in list(tmp_path.iterdir()):
            path.unlink()

    monkeypatch.setattr(Cache, "_evict", removing)
    cache = Cache(tmp_path)
    with cache.writing() as file:
        file.write(np.array([3, 3, 3]), types=1)
        entry = cache.store("key", file, described())
    assert entry.ids[:] == bytes([3, 3, 3])


def test_an_incomplete_entry_is_not_used(tmp_path):
    cache = filled(tmp_path)
    (tmp_path / "key.ids").write_bytes(b"12")
    assert cache.find("key") is None
    (tmp_path / "key.ids").unlink()
    assert cache.find("key") is None
    cache = filled(tmp_path)
    (tmp_path / "key.json").unlink()
    assert cache.find("key") is None


# Location


def test_the_environment_sets_the_folder(monkeypatch, tmp_path):
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
def test_other_users_cannot_read_the_folder(tmp_path):
    filled(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_without_a_writable_folder_the_cache_is_temporary(tmp_path):
    (tmp_path / "file").write_text("no folder can be here")
    code = """
import numpy as np
from rnnlm.text.cache import Cache, Description
cache = Cache()
with cache.writing() as file:
    file.write(np.array([3]), 1)
    cache.store("key", file, Description(1, "uint8", ["a"], [0, 0, 0, 1], 1, 1, "", ["utf-8"], [], {}, [], file.crc32))
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


# Size


def test_the_least_recently_used_entries_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNLM_CACHE_LIMIT", "30")  # an entry has 10 bytes
    for age, key in enumerate(["new", "middle", "old"]):
        filled(tmp_path, key, ids=[3] * 10)
        os.utime(tmp_path / f"{key}.json", (1000 - age, 1000 - age))
    assert Cache(tmp_path).find("old") is not None  # finding it makes it recent
    filled(tmp_path, "newest", ids=[3] * 10)
    assert names(tmp_path) == [f"{key}.{end}" for key in ("new", "newest", "old") for end in ("ids", "json")]
    monkeypatch.setenv("RNNLM_CACHE_LIMIT", "1")
    filled(tmp_path, "large", ids=[3] * 10)
    assert names(tmp_path) == ["large.ids", "large.json"]  # the newest entry stays


def test_unused_digests_of_texts_are_removed(tmp_path):
    for name, time in {"old.seen": 1000, "new.seen": None}.items():
        (tmp_path / name).write_bytes(b"{}")
        if time:
            os.utime(tmp_path / name, (time, time))
    filled(tmp_path)
    assert names(tmp_path) == ["key.ids", "key.json", "new.seen"]


def test_leftovers_of_killed_runs_are_removed_but_files_being_written_stay(tmp_path):
    left = tmp_path / f"{TEMPORARY_PREFIX}left"
    left.write_bytes(b"half")
    with IdFile(tmp_path) as file:
        filled(tmp_path)
        assert names(tmp_path) == [file.path.name, "key.ids", "key.json"]
    assert names(tmp_path) == ["key.ids", "key.json"]


@pytest.mark.parametrize(
    ("size", "expected"), [("0", 0), ("500", 500), ("2K", 2000), ("20g", 20 * 10**9), ("1 TB", None)]
)
def test_limits_are_parsed_or_refused(monkeypatch, tmp_path, size, expected):
    monkeypatch.setenv("RNNLM_CACHE_LIMIT", size)
    if expected is None:
        with pytest.raises(CorpusError, match="RNNLM_CACHE_LIMIT"):
            Cache(tmp_path)
    else:
        assert Cache(tmp_path).limit == expected
