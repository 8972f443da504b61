"""Only archives that `zipfile` would write for plain members, to the last bit, are accepted."""

import base64
import io
import re
import struct
import zipfile

import pytest

from rnnlm.storage import archive

# Members `header` and `a` of ten bytes each, as written by `np.savez` under these versions of Python.
RECORDED = {
    "Python 3.11.2": """
        UEsDBBQAAAAAAAAAIQB3R9+OCgAAAAoAAAAKABQAaGVhZGVyLm5weQEAEAAKAAAAAAAAAAoAAAAAAAAAeHh4eHh4eHh4eFBLAwQUAAAAAAAAACEA
        d0ffjgoAAAAKAAAABQAUAGEubnB5AQAQAAoAAAAAAAAACgAAAAAAAAB4eHh4eHh4eHh4UEsBAhQDFAAAAAAAAAAhAHdH344KAAAACgAAAAoAAAAA
        AAAAAAAAAIABAAAAAGhlYWRlci5ucHlQSwECFAMUAAAAAAAAACEAd0ffjgoAAAAKAAAABQAAAAAAAAAAAAAAgAFGAAAAYS5ucHlQSwUGAAAAAAIA
        AgBrAAAAhwAAAAAA""",
    "Python 3.11.7, 3.12.1, 3.13.0": """
        UEsDBC0AAAAAAAAAIQB3R9+O//////////8KABQAaGVhZGVyLm5weQEAEAAKAAAAAAAAAAoAAAAAAAAAeHh4eHh4eHh4eFBLAwQtAAAAAAAAACEA
        d0ffjv//////////BQAUAGEubnB5AQAQAAoAAAAAAAAACgAAAAAAAAB4eHh4eHh4eHh4UEsBAi0DLQAAAAAAAAAhAHdH344KAAAACgAAAAoAAAAA
        AAAAAAAAAIABAAAAAGhlYWRlci5ucHlQSwECLQMtAAAAAAAAACEAd0ffjgoAAAAKAAAABQAAAAAAAAAAAAAAgAFGAAAAYS5ucHlQSwUGAAAAAAIA
        AgBrAAAAhwAAAAAA""",
}
RECORDED = {version: base64.b64decode(content) for version, content in RECORDED.items()}
recorded = pytest.mark.parametrize("content", RECORDED.values(), ids=RECORDED.keys())
DATA = b"x" * 10


def written(members=(("header", DATA), ("a", DATA)), date=(1980, 1, 1, 0, 0, 0), **attributes):
    """Return an archive that this Python's `zipfile` writes in the way of `np.savez`."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members:
            info = zipfile.ZipInfo(f"{name}.npy", date)
            for attribute, value in attributes.items():
                setattr(info, attribute, value)
            with file.open(info, "w", force_zip64=True) as member:
                member.write(content)
    return stream.getvalue()


def read(content, most=10):
    return archive.read_directory(io.BytesIO(content), len(content), most)


def refusal(content, most=10):
    with pytest.raises(ValueError, match=r".") as caught:
        read(content, most)
    return str(caught.value)


def assert_read(content, members):
    """Assert that places, sizes and CRCs agree with `zipfile`, and that the members' bytes are there."""
    entries = read(content)
    assert list(entries) == [name for name, _ in members]
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        for name, data in members:
            info = file.getinfo(f"{name}.npy")
            assert (entries[name].size, entries[name].crc) == (info.file_size, info.CRC)
            assert content[entries[name].place :][: entries[name].size] == data


@recorded
def test_archives_of_all_python_versions_are_read(content):
    assert_read(content, [("header", DATA), ("a", DATA)])


@pytest.mark.parametrize(
    "members",
    [
        [],
        [("header", b"")],
        [("header", DATA), ("rnn.weight_ih_l0", bytes(1000)), ("optimizer.mean.output.bias", b"PK\x03\x04")],
        [("a" * archive.LONGEST_NAME, DATA)],
        [("a", RECORDED["Python 3.11.2"])],  # an archive within an archive
        [(f"a{i}", DATA) for i in range(10)],
    ],
)
def test_archives_of_this_python_are_read(members):
    assert_read(written(members), members)


@pytest.mark.parametrize("limit", [5, 50, 100, 160, 200])
def test_large_numbers_are_read_from_64_bit_fields(monkeypatch, limit):
    """The limit of 2 GiB is lowered, so that the file, a member or the offset of a member is beyond it."""
    members = [("header", DATA), ("a", DATA * 9), ("b", b""), ("c", DATA)]
    small = written(members)
    for module, name in ((zipfile, "ZIP64_LIMIT"), (archive, "_LARGEST")):
        monkeypatch.setattr(module, name, limit)
    large = written(members)
    assert_read(large, members)
    assert len(large) > len(small)
    refusal(small)  # no writer with this limit makes such a file
    for change in flips(large, members):
        refusal(change)


def flips(content, members):
    """Yield the archive with each single bit flipped, except in the data of a member."""
    entries = read(content)
    data = {entry.place + i for entry in entries.values() for i in range(entry.size)}
    assert len(data) == sum(len(each) for _, each in members)
    for place in set(range(len(content))) - data:
        for bit in range(8):
            yield content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


@recorded
def test_any_flipped_bit_outside_the_data_is_refused(content):
    changed = list(flips(content, [("header", DATA), ("a", DATA)]))
    assert len(changed) == 8 * (len(content) - 20)
    for each in changed:
        refusal(each)


@recorded
def test_missing_and_additional_bytes_are_refused(content):
    for place in range(len(content)):
        refusal(content[:place])
        refusal(content[place + 1 :])
        refusal(content[:place] + content[place + 1 :])
        refusal(content[:place] + b"\0" + content[place:])
    refusal(content + b"\0")
    refusal(content + content)
    refusal(b"PK\x03\x04" + content)


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("cut off", b""),
        ("cut off", b"PK\x03\x04"),
        ("has a date", written(date=(2026, 1, 1, 0, 0, 0))),
        ("not as rnnlm writes it", written(comment=b"hello")),
        ("not as rnnlm writes it", written(extra=b"\x99\x99\x00\x00")),
        ("not as rnnlm writes it", written(create_system=0)),
        ("not as rnnlm writes it", written(external_attr=0o777 << 16)),
        ("not as rnnlm writes it", written(internal_attr=1)),
        ("not as rnnlm writes it", written(extract_version=63)),
        ("compressed", written(compress_type=zipfile.ZIP_DEFLATED)),
        ("compressed", written(compress_type=zipfile.ZIP_LZMA)),
        ("no name of an array", written([("../a", DATA)])),
        ("no name of an array", written([("C:\\a", DATA)])),
        ("no name of an array", written([("a.", DATA)])),
        ("no name of an array", written([("", DATA)])),
        ("no name of an array", written([("a" * (archive.LONGEST_NAME + 1), DATA)])),
        ("no name of an array", written([("ａ", DATA)])),
        ("no name of an array", written([("a\n", DATA)])),
        ("11 members", written([(f"a{i}", b"") for i in range(11)])),
    ],
)
def test_archives_with_other_features_of_zip_are_refused(reason, content):
    assert reason in refusal(content)


def test_two_members_with_the_same_name_are_refused():
    with pytest.warns(UserWarning, match="Duplicate"):
        content = written([("a", DATA), ("a", b"y" * 10)])
    assert "same name" in refusal(content)


def test_data_descriptors_of_unseekable_writers_are_refused():
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def tell(self):
            raise OSError

        seek = tell

    stream = Pipe()
    with zipfile.ZipFile(stream, "w") as file, file.open("a.npy", "w", force_zip64=True) as member:
        member.write(DATA)
    assert "not as rnnlm writes it" in refusal(stream.getvalue())


# Forged archives


def changed(content, **fields):
    """Return the archive with numbers of its last entry or of its end record replaced."""
    end = len(content) - 22
    start = content.rindex(b"PK\x01\x02")
    places = {"size": (start + 24, "<L"), "packed": (start + 20, "<L"), "offset": (start + 42, "<L"),
              "name_length": (start + 28, "<H"), "extra_length": (start + 30, "<H"), "count": (end + 10, "<H"),
              "here": (end + 8, "<H"), "directory_size": (end + 12, "<L"), "directory": (end + 16, "<L")}  # fmt: skip
    result = bytearray(content)
    for name, value in fields.items():
        place, kind = places[name]
        struct.pack_into(kind, result, place, value)
    return bytes(result)


@recorded
def test_wrong_numbers_in_the_directory_are_refused(content):
    assert "more bytes than the file" in refusal(changed(content, size=10**9, packed=10**9))
    assert "directory is cut off" in refusal(changed(content, size=0xFFFFFFFF, packed=0xFFFFFFFF))
    assert "not as rnnlm writes it" in refusal(changed(content, offset=0))  # points to another member
    assert "not as rnnlm writes it" in refusal(changed(content, size=11, packed=11))  # extends into the directory
    assert "60000 members" in refusal(changed(content, count=60000, here=60000))
    assert "cut off" in refusal(changed(content, count=3, here=3))
    assert "not as long as it says" in refusal(changed(content, count=1, here=1))
    assert "may be cut off" in refusal(changed(content, count=1))
    assert "may be cut off" in refusal(changed(content, directory=0))
    for number in (1, 0x7FFF, 0xFFFF):
        for name in ("name_length", "extra_length", "directory_size"):
            refusal(changed(content, **{name: number}))


@recorded
def test_a_member_missing_from_the_directory_is_refused(content):
    """A hidden first member, with a directory that is right about the others."""
    first, directory, end = 70, len(content) - 22 - 107, len(content) - 22
    hidden = content[:directory] + content[directory + 46 + 10 : end] + content[end:]
    assert "not as rnnlm writes it" in refusal(changed(hidden, count=1, here=1, directory_size=107 - 56))
    assert content[first:].startswith(b"PK\x03\x04")


def test_a_huge_directory_is_refused_without_reading_it():
    """A directory of a gigabyte, at 46 bytes per entry, costs neither time nor memory."""

    class Endless(io.RawIOBase):
        length = 1 << 40

        def __init__(self):
            self.asked, self.place = 0, 0
            self.end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9999, 9999, 1 << 31, 0, 0)

        def seek(self, place):
            self.place = place

        def read(self, size):
            self.asked += size
            return (bytes(size) + self.end)[-min(size, self.length - self.place) :]

    file = Endless()
    with pytest.raises(ValueError, match=r"may be cut off|directory of"):
        archive.read_directory(file, file.length, 10_000)
    assert file.asked < 1000


@pytest.mark.parametrize("name", ["a", "A_1", "rnn.weight_ih_l0", "good.current.x", "a-b", "a+b"])
def test_unusual_member_names_are_refused(name):
    assert archive.is_name(name)
    assert not any(archive.is_name(each) for each in (f"{name}.", f".{name}", f"{name}..b", f"{name}/b", f"{name} "))
    assert not any(re.search(r"[./\\]", name[0] + name[-1]) for name in read(written([(name, b"")])))
