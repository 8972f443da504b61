"""Checkpoints survive a round trip, are never half written, and hostile ones are refused in one sentence."""

import io
import json
import os
import resource
import stat
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rnnlm.errors import CheckpointError, SavingError
from rnnlm.storage import checkpoint

HEADER = {"level": "word", "tokens": ["我", "昨天", "，", "\x00", ""], "seed": 2**100, "lr": 0.1}
ARRAYS = {
    "rnn.weight_ih_l0": np.arange(12, dtype=np.float32).reshape(4, 3),
    "rnn.bias_ih_l0_reverse": np.array([0.5, -0.0], dtype=np.float64),
    "optimizer.step": np.array(7),
    "state": np.zeros((1, 0, 3), dtype=np.float32),
    "seen": np.array([True, False]),
}


@pytest.fixture
def path(tmp_path):
    target = tmp_path / "model.npz"
    checkpoint.save(target, HEADER, ARRAYS)
    return target


def own(header):
    """Return the caller's part of a header that was read."""
    return {key: header[key] for key in header.keys() - {"format", "version", "arrays", "checksum"}}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape
        assert found[name].astype(array.dtype).tobytes() == array.tobytes()


# Round trips


def test_a_checkpoint_survives_a_round_trip(path):
    header, arrays = checkpoint.load(path)
    assert own(header) == HEADER
    assert (header["format"], header["version"]) == ("rnnlm", 1)
    assert_same(arrays, ARRAYS)


plain_dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
)
plain_arrays = plain_dtypes.flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements=({"allow_nan": False, "allow_infinity": False} if np.dtype(dtype).kind == "f" else None),
    )
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc我", max_size=3), inner),
    max_leaves=8,
)


@given(
    header=st.dictionaries(st.text("klm我", max_size=3), json_values),
    arrays=st.dictionaries(st.from_regex(r"[a-z_0-9]{1,5}(\.[a-z]{1,3})?", fullmatch=True),
                           plain_arrays, max_size=3),
)  # fmt: skip
def test_any_plain_content_survives_a_round_trip_bit_by_bit(tmp_path_factory, header, arrays):
    arrays.pop("header", None)
    target = tmp_path_factory.getbasetemp() / "any.npz"
    checkpoint.save(target, header, arrays)
    found, found_arrays = checkpoint.load(target)
    assert own(found) == header
    assert_same(found_arrays, arrays)


def test_loaded_arrays_are_contiguous_and_writable(tmp_path):
    fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    arrays = {"fortran": fortran, "strided": np.arange(10)[::3], "big": np.arange(3, dtype=">f4")}
    checkpoint.save(tmp_path / "model.npz", {}, arrays)
    _, found = checkpoint.load(tmp_path / "model.npz")
    for name, array in found.items():
        assert np.array_equal(array, arrays[name])
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.dtype.isnative


def test_numpy_can_open_a_checkpoint(path):
    with np.load(path, allow_pickle=False) as archive:
        assert json.loads(archive["header"].tobytes())["level"] == "word"
        assert_same({name: archive[name] for name in ARRAYS}, ARRAYS)


def test_the_order_of_the_content_does_not_change_the_bytes(path, tmp_path):
    again = tmp_path / "again.npz"
    checkpoint.save(again, dict(reversed(HEADER.items())), dict(reversed(ARRAYS.items())))
    assert again.read_bytes() == path.read_bytes()


def test_loading_and_saving_gives_the_same_bytes(path, tmp_path):
    again = tmp_path / "again.npz"
    checkpoint.save(again, *checkpoint.load(path))
    assert again.read_bytes() == path.read_bytes()


def test_only_requested_arrays_are_read(path):
    _, arrays = checkpoint.load(path, wanted=lambda name: name.startswith("rnn."))
    assert sorted(arrays) == ["rnn.bias_ih_l0_reverse", "rnn.weight_ih_l0"]

    damaged = rewritten(path, "rnn.weight_ih_l0", b"\xff" * 48)
    checkpoint.read_header(damaged)
    checkpoint.load(damaged, wanted=lambda name: name == "seen")
    with pytest.raises(CheckpointError, match=r"rnn\.weight_ih_l0"):
        checkpoint.load(damaged)


def test_the_header_alone_has_the_shapes(path):
    described = checkpoint.read_header(path)["arrays"]
    assert {name: tuple(entry["shape"]) for name, entry in described.items()} == {
        name: array.shape for name, array in ARRAYS.items()
    }


@pytest.mark.parametrize(
    ("reason", "header", "arrays"),
    [
        ("cannot be the name", {}, {"a/b": np.zeros(1)}),
        ("cannot be the name", {}, {"..": np.zeros(1)}),
        ("cannot be the name", {}, {"": np.zeros(1)}),
        ("cannot be the name", {}, {"header": np.zeros(1)}),
        ("no checkpoint holds object", {}, {"objects": np.array([None])}),
        ("no checkpoint holds <U1", {}, {"strings": np.array(["我"])}),
        ("no checkpoint holds complex128", {}, {"complex": np.zeros(1, complex)}),
        ("5 axes", {}, {"axes": np.zeros((1, 1, 1, 1, 1))}),
        ("JSON", {"loss": float("nan")}, {}),
        ("surrogates", {"token": "\ud800"}, {}),
    ],
)
def test_content_that_could_not_be_read_is_not_written(tmp_path, reason, header, arrays):
    with pytest.raises(ValueError, match=reason):
        checkpoint.save(tmp_path / "model.npz", header, arrays)
    assert list(tmp_path.iterdir()) == []


# The old file or the new one


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_diverged_model_does_not_replace_a_good_one(path, value):
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"output\.bias .*not finite.*--lr"):
        checkpoint.save(path, HEADER, {"output.bias": np.array([0, value], np.float32)})
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_failure_or_interrupt_leaves_the_old_file_alone(path, monkeypatch, place, error):
    def fail(*_):
        raise error

    before = path.read_bytes()
    monkeypatch.setattr(os, place, fail)
    with pytest.raises((CheckpointError, KeyboardInterrupt)) as caught:
        checkpoint.save(path, {}, {"new": np.ones(3)})
    assert caught.type is (SavingError if isinstance(error, OSError) else KeyboardInterrupt)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("room", [0, 1, 500, 4096, 9000])
def test_a_full_disk_leaves_the_old_file_alone(path, room):
    before = path.read_bytes()
    old_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, old_limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"cannot be written.*File too large"):
            checkpoint.save(path, {}, {"new": np.ones(2000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limits)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("place", ["_npy_header", "_write_archive"])
def test_an_interrupt_while_writing_leaves_the_old_file_alone(path, monkeypatch, place):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = path.read_bytes()
    monkeypatch.setattr(checkpoint, place, interrupt)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, {}, {"new": np.ones(3)})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    old_mask = os.umask(0o027)
    try:
        checkpoint.save(tmp_path / "model.npz", {}, {})
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE((tmp_path / "model.npz").stat().st_mode) == 0o640


@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_is_kept(tmp_path, exists):
    (tmp_path / "store").mkdir()
    real, link = tmp_path / "store" / "real.npz", tmp_path / "model.npz"
    if exists:
        real.write_bytes(b"old")
    link.symlink_to(real)
    checkpoint.save(link, {"a": 1}, {})
    assert link.is_symlink()
    assert checkpoint.read_header(real)["a"] == 1


def test_impossible_targets_are_refused_in_one_sentence(tmp_path):
    (tmp_path / "text").write_text("")
    for target in [tmp_path, tmp_path / "missing" / "model.npz", tmp_path / "text" / "model.npz"]:
        with pytest.raises(CheckpointError, match=r"cannot be written.*Check that the folder"):
            checkpoint.save(target, {}, {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["text"]


def test_a_device_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(CheckpointError, match="not a file"):
        checkpoint.save(pipe, {}, {})
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(CheckpointError, match="not a file"):
        checkpoint.load(pipe)  # and opening it does not block


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_missing_permissions_are_reported_in_one_sentence(path):
    path.chmod(0)
    with pytest.raises(CheckpointError, match="cannot be read: Permission denied"):
        checkpoint.load(path)
    path.parent.chmod(0o500)
    with pytest.raises(CheckpointError, match="cannot be written: Permission denied"):
        checkpoint.save(path, {}, {})
    path.parent.chmod(0o700)


# Files that are not checkpoints


def refused(path):
    """Return the message with which both ways of reading refuse the file."""
    sentences = []
    for read in (checkpoint.load, checkpoint.read_header):
        with pytest.raises(CheckpointError) as caught:
            read(path)
        sentences.append(str(caught.value))
    assert sentences[0] == sentences[1]
    assert sentences[0].startswith(f"{path} ")
    assert "\n" not in sentences[0]
    assert "pickle" not in sentences[0]  # NumPy would suggest allow_pickle
    return sentences[0]


def test_a_missing_file_is_reported_with_the_command_to_make_one(tmp_path):
    path = tmp_path / "model.npz"
    assert f"rnnlm train corpus.txt -o {path}" in refused(path)


@pytest.mark.parametrize("content", [b"", b"P", b"PK\x03\x05", "我 昨天 上学\n".encode(), b"\x93NUMPY"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "model.npz").write_bytes(content)
    assert "is not a checkpoint" in refused(tmp_path / "model.npz")


def test_a_folder_is_refused(tmp_path):
    assert "is not a file" in refused(tmp_path)


def test_an_npz_file_of_another_program_is_refused(tmp_path):
    np.savez(tmp_path / "model.npz", weights=np.ones(3))
    assert "rnnlm did not write" in refused(tmp_path / "model.npz")
    np.savez(tmp_path / "model.npz", header=np.frombuffer(b'{"format": "other"}', np.uint8))
    assert "rnnlm did not write" in refused(tmp_path / "model.npz")
    np.savez(tmp_path / "model.npz", header=np.ones(3))
    refused(tmp_path / "model.npz")


# Hostile files


def npy(array=None, *, data=None, version=(1, 0), **claims):
    """Return the bytes of an .npy file; `claims` (descr, fortran_order, shape) override the truth."""
    if array is None:
        array = np.ones(3, np.float32)
    stream = io.BytesIO()
    description = np.lib.format.header_data_from_array_1_0(array) | claims
    write = {
        (1, 0): np.lib.format.write_array_header_1_0,
        (2, 0): np.lib.format.write_array_header_2_0,
    }
    write[version](stream, description)
    return stream.getvalue() + (array.tobytes() if data is None else data)


def packed(target, members, compression=zipfile.ZIP_STORED):
    """Write an archive like `np.savez`, with any members; only they may be wrong."""
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.filename = name  # ZipInfo truncates a name at a NUL
            info.compress_type = compression
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(content)
    return target


def encoded(header):
    """Return a header member as `save` writes it, with the right checksum."""
    header = header | {"checksum": checkpoint._checksum(header)}
    return npy(np.frombuffer(checkpoint._canonical(header), np.uint8))


def honest(array):
    """Return the members of a good checkpoint with one array `a`."""
    header = checkpoint._encode_header({}, {"a": array})
    return {"header.npy": npy(np.frombuffer(header, np.uint8)), "a.npy": npy(array)}


def rewritten(path, name, data):
    """Write a copy of a checkpoint in which the array `name` has other data."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members[f"{name}.npy"] = members[f"{name}.npy"][: -len(data)] + data
    return packed(path.with_name("rewritten.npz"), members.items())


ONES = np.ones(3, np.float32)
GOOD = honest(ONES)
HEAD, BODY = GOOD["header.npy"], GOOD["a.npy"]


def test_the_helpers_of_these_tests_can_make_a_good_file(tmp_path):
    target = packed(tmp_path / "model.npz", GOOD.items())
    _, arrays = checkpoint.load(target)
    assert_same(arrays, {"a": ONES})
    checkpoint.save(tmp_path / "saved.npz", {}, {"a": ONES})
    assert (tmp_path / "saved.npz").read_bytes() == target.read_bytes()


@pytest.mark.parametrize(
    ("reason", "members"),
    [
        ("same arrays", {"header.npy": HEAD}),
        ("same arrays", GOOD | {"b.npy": BODY}),
        ("no name of an array", GOOD | {"../a.npy": BODY}),
        ("no name of an array", GOOD | {"folder/a.npy": BODY}),
        ("no name of an array", GOOD | {"/etc/a.npy": BODY}),
        ("no name of an array", GOOD | {"..npy": BODY}),
        ("no name of an array", GOOD | {"meta.json": b"{}"}),
        ("no name of an array", GOOD | {"b\x00c.npy": BODY}),
        ("plain array", GOOD | {"a.npy": npy(descr="|O")}),
        ("plain array", GOOD | {"a.npy": npy(descr=">f4")}),
        ("plain array", GOOD | {"a.npy": npy(descr="<f16")}),
        ("plain array", GOOD | {"a.npy": npy(descr="<c8")}),
        ("plain array", GOOD | {"a.npy": npy(descr="<U1")}),
        ("plain array", GOOD | {"a.npy": npy(descr="|f4")}),
        ("plain array", GOOD | {"a.npy": npy(descr=[("x", "<f4")])}),
        ("plain array", GOOD | {"a.npy": npy(fortran_order=True)}),
        ("plain array", GOOD | {"a.npy": npy(shape=(-3,))}),
        ("shape", GOOD | {"a.npy": npy(shape=(1, 1, 1, 1, 3))}),
        ("size", GOOD | {"a.npy": npy(shape=(4,))}),
        ("size", GOOD | {"a.npy": npy(shape=(2,))}),
        ("size", GOOD | {"a.npy": npy(shape=(10**10,))}),
        ("size", GOOD | {"a.npy": npy(shape=(2**62, 4))}),
        ("size", GOOD | {"a.npy": npy(shape=(2**63, 2), data=b"")}),
        ("size", GOOD | {"a.npy": BODY + b"\x00"}),
        ("another shape or dtype", GOOD | {"a.npy": npy(shape=(3, 1))}),
        ("another shape or dtype", GOOD | {"a.npy": npy(descr="<i4")}),
        ("version 1.0", GOOD | {"a.npy": npy(version=(2, 0))}),
        ("version 1.0", GOOD | {"a.npy": BODY[:8] + b"\xff\xff" + BODY[10:]}),
        ("version 1.0", GOOD | {"a.npy": b"\x80\x04 this would be a pickle"}),
        ("requires a buffer", GOOD | {"a.npy": b""}),
        ("header is not a row", GOOD | {"header.npy": npy(np.ones((2, 2), np.uint8))}),
    ],
)  # fmt: skip
def test_forged_members_are_refused(tmp_path, reason, members):
    assert reason in refused(packed(tmp_path / "model.npz", members.items()))


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("is damaged", b""),
        ("is damaged", b"{"),
        ("is damaged", b"\xff\xfe{}"),
        ("is damaged", b"[" * 200_000),
        ("is damaged", b'{"format": "rnnlm", "version": ' + b"9" * 10_000 + b"}"),
        ("NaN is not JSON", b'{"format": "rnnlm", "version": NaN}'),
        ("is damaged", b'{"format": "rnnlm", "version": 1, "lr": 1e999}'),
        ("is damaged", b'{"format": "rnnlm", "version": 1, "tokens": ["\\ud800"]}'),
        ("rnnlm did not write", b"[]"),
        ("rnnlm did not write", b"{}"),
        ("no version", b'{"format": "rnnlm"}'),
        ("no version", b'{"format": "rnnlm", "version": "1"}'),
        ("no version", b'{"format": "rnnlm", "version": true}'),
        ("no version", b'{"format": "rnnlm", "version": 0}'),
        ("newer rnnlm", b'{"format": "rnnlm", "version": 2}'),
        ("checksum", b'{"format": "rnnlm", "version": 1, "arrays": {}}'),
        ("checksum", b'{"format": "rnnlm", "version": 1, "arrays": {}, "checksum": ""}'),
    ],
)
def test_forged_headers_are_refused(tmp_path, reason, content):
    members = {"header.npy": npy(np.frombuffer(content, np.uint8))}
    assert reason in refused(packed(tmp_path / "model.npz", members.items()))


@pytest.mark.parametrize(
    "arrays",
    [
        None,
        [],
        {"a": None},
        {"a": {}},
        {"a": {"shape": [3], "dtype": "float32"}},
        {"a": {"shape": [3.0], "dtype": "float32", "sha256": ""}},
        {"a": {"shape": 3, "dtype": "float32", "sha256": ""}},
        {"a": {"shape": [3], "dtype": "<f4", "sha256": ""}},
        {"b": {"shape": [3], "dtype": "float32", "sha256": ""}},
        {"a\n\x1b[2J": {"shape": [3], "dtype": "float32", "sha256": ""}},
    ],
)
def test_wrong_descriptions_of_arrays_are_refused(tmp_path, arrays):
    header = encoded({"format": "rnnlm", "version": 1, "arrays": arrays})
    refused(packed(tmp_path / "model.npz", {"header.npy": header, "a.npy": BODY}.items()))


@pytest.mark.parametrize(
    ("reason", "array"),
    [
        ("a holds values that are not finite", np.array([1, np.nan], np.float32)),
        ("a holds values that are not finite", np.array([[np.inf]])),
        ("neither true nor false", np.array([0, 2], np.uint8).view(bool)),
    ],
)
def test_values_that_no_training_writes_are_refused(tmp_path, reason, array):
    target = packed(tmp_path / "model.npz", honest(array).items())
    with pytest.raises(CheckpointError, match=reason):
        checkpoint.load(target)


def test_changed_data_under_an_unchanged_header_are_refused(tmp_path):
    target = packed(tmp_path / "model.npz", (GOOD | {"a.npy": npy(2 * ONES)}).items())
    with pytest.raises(CheckpointError, match="bytes of a do not fit"):
        checkpoint.load(target)


def test_compressed_members_are_refused_before_they_are_decompressed(tmp_path):
    bomb = npy(np.zeros(10**7, np.float32))
    target = packed(tmp_path / "model.npz", {**GOOD, "a.npy": bomb}.items(), zipfile.ZIP_DEFLATED)
    bomb_size = len(bomb)
    tracemalloc.start()
    assert "compressed" in refused(target)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < bomb_size / 100


def test_two_members_with_the_same_name_are_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        packed(tmp_path / "model.npz", [*GOOD.items(), ("a.npy", BODY)])
    assert "same name" in refused(tmp_path / "model.npz")


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "MAX_MEMBERS", 3)
    target = packed(tmp_path / "model.npz", (GOOD | {"b.npy": BODY, "c.npy": BODY}).items())
    assert "4 members" in refused(target)
    with pytest.raises(ValueError, match="3 arrays"):
        checkpoint.save(target, {}, {"a": ONES, "b": ONES, "c": ONES})


def test_too_long_a_header_is_refused(tmp_path, monkeypatch):
    target = tmp_path / "model.npz"
    checkpoint.save(target, HEADER, {})
    monkeypatch.setattr(checkpoint, "MAX_HEADER_BYTES", 100)
    assert "64 MiB" in refused(target)
    with pytest.raises(CheckpointError, match="--vocab-size"):
        checkpoint.save(target, HEADER, {})


def directory_entry(content, name):
    """Return where a member's entry begins in the directory at the end of a zip file."""
    place = content.rindex(name.encode())
    return place - 46  # the fixed part before the name


@pytest.mark.parametrize(
    ("reason", "offset", "field"),
    [
        ("encrypted", 8, struct.pack("<H", 1)),
        ("compressed", 10, struct.pack("<H", 8)),
        ("compressed", 20, struct.pack("<I", 5)),
        ("more bytes than the file", 20, struct.pack("<II", 10**9, 10**9)),
        ("is damaged", 42, struct.pack("<I", 10**9)),
    ],
)
def test_forged_directories_are_refused(tmp_path, reason, offset, field):
    target = packed(tmp_path / "model.npz", GOOD.items())
    content = bytearray(target.read_bytes())
    start = directory_entry(content, "a.npy") + offset
    content[start : start + len(field)] = field
    target.write_bytes(content)
    assert reason in refused(target)


def test_a_truncated_file_is_refused_wherever_it_ends(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        refused(path)


def test_a_changed_byte_is_refused_or_changes_nothing(path):
    whole = path.read_bytes()
    header, arrays = checkpoint.load(path)
    rng = np.random.default_rng(0)
    refusals = 0
    for place, change in zip(rng.integers(len(whole), size=1000), rng.integers(1, 256, size=1000), strict=True):
        content = bytearray(whole)
        content[place] ^= change
        path.write_bytes(content)
        try:
            found_header, found = checkpoint.load(path)
        except CheckpointError:
            refusals += 1
        else:
            assert found_header == header
            assert_same(found, arrays)
    assert refusals > 500  # few bytes may change, such as dates
