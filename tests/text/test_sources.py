import gzip
import hashlib
import io
import os
import runpy
import shutil
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from rnnlm.errors import CorpusError
from rnnlm.names import OWN_TEXTS
from rnnlm.text import sources
from rnnlm.text.sources import fingerprint, open_sources

CORPORA = Path(__file__).parents[2] / "corpora"


def contents(*paths):
    """Return the bytes that are read for paths, by name."""
    with open_sources(paths) as found:
        return {source.name: b"".join(source.blocks(lambda read: None)) for source in found}


def test_folders_are_read_recursively_and_named_files_in_order(tmp_path):
    names = ["b.txt", "a/z.txt", "a/b/c.txt.gz", "a.txt", "a/notes.md", "a/.hidden.txt", "a/x.gz"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(name.encode()) if name.endswith(".gz") else name.encode())
    found = contents(tmp_path)
    order = ["a/b/c.txt.gz", "a/z.txt", "a.txt", "b.txt"]
    assert list(found) == [str(tmp_path / name) for name in order]
    assert list(found.values()) == [name.encode() for name in order]
    # Named files are read whatever their suffix is, in the given order.
    assert list(contents(tmp_path / "a/x.gz", tmp_path / "a/notes.md").values()) == [b"a/x.gz", b"a/notes.md"]


def test_gzip_is_recognised_by_its_content(tmp_path):
    (tmp_path / "packed").write_bytes(gzip.compress(b"one") + gzip.compress(b" two"))
    (tmp_path / "plain.gz").write_bytes(b"plain")
    assert list(contents(tmp_path / "packed", tmp_path / "plain.gz").values()) == [b"one two", b"plain"]


@pytest.mark.parametrize("content", [b"from a pipe\n", gzip.compress(b"from a pipe\n")])
def test_stdin_can_be_read_twice(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    with open_sources(["-"]) as found:
        assert fingerprint(found)[1] == len(content)
        for _ in range(2):
            assert b"".join(found[0].blocks(lambda read: None)) == b"from a pipe\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_read(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"text",))
    writer.start()
    assert contents(pipe) == {str(pipe): b"text"}
    writer.join()


def test_reported_steps_add_up_to_the_size_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "BLOCK", 10)
    plain, packed = tmp_path / "plain.txt", tmp_path / "packed.txt.gz"
    plain.write_bytes(b"x" * 35)
    packed.write_bytes(gzip.compress(b"y" * 35))
    for path in (plain, packed):
        steps = []
        with open_sources([path]) as found:
            assert [len(block) for block in found[0].blocks(steps.append)] == [10, 10, 10, 5]
        assert min(steps) >= 0
        assert sum(steps) == path.stat().st_size


def test_the_fingerprint_depends_on_contents_and_file_borders(tmp_path):
    for name, content in {"a": b"one", "b": b"two", "c": b"onet", "d": b"wo", "e": b"one"}.items():
        (tmp_path / name).write_bytes(content)

    def of(*names):
        with open_sources([tmp_path / name for name in names]) as found:
            return fingerprint(found)

    assert of("a", "b")[1] == of("c", "d")[1] == 6
    assert of("a", "b") == of("e", "b")
    assert len({of("a", "b"), of("b", "a"), of("c", "d"), of("a")}) == 4
    assert of("a")[0] == hashlib.sha256(hashlib.sha256(b"one").digest()).hexdigest()


# Errors


def test_missing_and_damaged_files_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.gz").write_bytes(gzip.compress(b"text" * 100)[:-10])
    (tmp_path / "false.gz").write_bytes(b"\x1f\x8bfalse")
    flipped = bytearray(gzip.compress(os.urandom(1000)))
    flipped[100] ^= 1
    (tmp_path / "flipped.gz").write_bytes(flipped)
    for name, reason in {
        "none.txt": "does not exist",
        "damaged.gz/none.txt": "does not exist",
        "empty": r"has no \*.txt or \*.txt.gz file",
        "damaged.gz": "is damaged",
        "false.gz": "is damaged",
        "flipped.gz": "is damaged",
        "a\0b": "cannot be read",
    }.items():
        with pytest.raises(CorpusError, match=reason):
            contents(tmp_path / name)


@pytest.mark.parametrize(
    ("begin", "form"),
    [
        (b"PK\x03\x04", "zip"),
        (b"%PDF-1.7", "PDF"),
        (b"\xfd7zXZ\x00", "xz -dk"),
        (b"BZh91AY&SY", "bzip2 -dk"),
        (b"\x28\xb5\x2f\xfd", "zstd -dk"),
    ],
)
def test_other_file_formats_are_refused_by_name(begin, form, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(begin + b"text")
    with pytest.raises(CorpusError, match=form):
        contents(path)
    path.write_bytes(b"BZh, %PDF-, PK: these begin a text\n")
    assert contents(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders_are_refused(tmp_path):
    (tmp_path / "file.txt").write_text("text")
    (tmp_path / "file.txt").chmod(0)
    (tmp_path / "folder").mkdir(mode=0)
    for name in ("file.txt", "folder"):
        with pytest.raises(CorpusError, match="Permission denied"):
            contents(tmp_path / name)
    (tmp_path / "folder").chmod(0o700)


def test_no_text_and_stdin_twice_are_refused():
    with pytest.raises(CorpusError, match="No text is given"):
        contents()
    with pytest.raises(CorpusError, match="given twice"):
        contents("-", "-")


def test_suffixes_may_be_in_upper_case_and_skipped_files_are_named(tmp_path):
    for name in ["a.txt", "B.TXT", "sub/c.Txt.Gz", "notes.md", "sub/d.pdf", ".hidden", "e.csv"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    notes = []
    with open_sources([tmp_path, tmp_path / "notes.md"], report=notes.append) as found:
        names = [os.path.relpath(source.name, tmp_path) for source in found]
    assert names == ["B.TXT", "a.txt", os.path.join("sub", "c.Txt.Gz"), "notes.md"]
    left_out = ", ".join(["e.csv", "notes.md", os.path.join("sub", "d.pdf")])
    assert notes == [f"{tmp_path}: left out 3 files that are no .txt: {left_out}."]
    for number in range(10):
        (tmp_path / f"f{number}.c").touch()
    with open_sources([tmp_path], report=notes.append):
        assert notes[1].endswith("e.csv, f0.c, f1.c, f2.c, f3.c and 8 more.")


def test_a_folder_without_texts_is_refused_with_its_files(tmp_path):
    (tmp_path / "a.docx").touch()
    with pytest.raises(CorpusError, match=r"has no \*\.txt or \*\.txt\.gz file, but a\.docx; expected"):
        contents(tmp_path)


def test_a_model_is_refused_as_a_text_with_its_uses(tmp_path):
    model = Path(__file__).parents[1] / "data" / "format1" / "ngram.npz"
    for path in (model, shutil.copy(model, tmp_path / "renamed.txt")):
        with pytest.raises(CorpusError, match=r"is a model of rnnlm; expected a text.* eval .* --resume.* --init-from"):
            contents(path)


@pytest.mark.skipif(os.name != "posix", reason="there are no such links here")
def test_a_broken_link_in_a_folder_is_skipped(tmp_path):
    (tmp_path / "a.txt").write_text("a\n")
    (tmp_path / "gone.txt").symlink_to("nowhere.txt")
    notes = []
    with open_sources([tmp_path], report=notes.append) as found:
        assert [source.name for source in found] == [str(tmp_path / "a.txt")]
    assert notes == [f"{tmp_path}: left out 1 file that is no .txt, or a link to nothing: gone.txt."]


@pytest.mark.parametrize("name", OWN_TEXTS)
def test_texts_of_the_package_are_read_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = (CORPORA / f"{name}.txt").read_bytes()
    assert list(contents(f"@{name}").values()) == [expected]
    Path(f"@{name}").write_bytes(b"mine\n")  # an existing file of that name is read instead
    assert contents(f"@{name}") == {f"@{name}": b"mine\n"}
    assert list(contents(f"./@{name}").values()) == [b"mine\n"]


@pytest.mark.parametrize("name", ["@", "@klingon", "@../corpora/english", "@english.txt"])
def test_an_unknown_text_of_the_package_is_refused_with_the_known_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match="@chinese and @english come with rnnlm"):
        contents(name)


def test_an_installation_without_the_texts_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr("rnnlm.text.own_texts.FOLDERS", (tmp_path,))
    with pytest.raises(CorpusError, match="@english is not in this installation"):
        contents("@english")


def test_the_build_includes_the_texts_of_the_package(tmp_path, monkeypatch):
    """Run only the part of `pip install` that copies modules and texts."""
    setuptools = pytest.importorskip("setuptools")
    monkeypatch.chdir(CORPORA.parent)
    monkeypatch.setattr("setuptools.setup", lambda **settings: settings)
    command = runpy.run_path("setup.py")["BuildWithTexts"](setuptools.Distribution({"packages": []}))
    command.build_lib = str(tmp_path)
    command.ensure_finalized()
    command.run()
    built = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.txt")}
    assert built == {f"rnnlm/corpora/{name}.txt" for name in OWN_TEXTS}
    assert built <= {Path(path).relative_to(tmp_path).as_posix() for path in command.get_outputs()}
    assert (tmp_path / "rnnlm/corpora/chinese.txt").read_bytes() == (CORPORA / "chinese.txt").read_bytes()
