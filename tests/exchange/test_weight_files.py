import io
import pickle
import random
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from rnnlm.errors import ExchangeError
from rnnlm.exchange import packages, weight_files
from rnnlm.exchange.weight_files import encode_safetensors, encode_torch, read

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
safetensors = pytest.importorskip("safetensors", reason="safetensors is not installed")
ENCODERS = {"torch": encode_torch, "safetensors": encode_safetensors}


@pytest.fixture
def reading(tmp_path):
    """A function that writes bytes to a file and reads it as weights."""

    def of(content):
        path = tmp_path / "weights"
        path.write_bytes(content)
        return read(path)

    return of


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ENCODERS)
def test_arrays_survive_writing_and_reading_bit_for_bit(kind, network, reading):
    found = reading(ENCODERS[kind](network))
    assert found.kind == kind
    arrays = dict(found.arrays)
    if network.config.tied and kind == "torch":
        np.testing.assert_array_equal(arrays.pop("output.weight"), arrays["embedding.weight"])
    assert arrays.keys() == network.params.keys()
    for name, array in arrays.items():
        assert array.dtype == np.float32
        assert array.tobytes("C") == network.params[name].tobytes("C"), name


def test_a_tied_matrix_is_stored_once(make_network):
    untied, tied = (make_network(embedding_size=6, vocabulary_size=5000, tied=tied) for tied in (False, True))
    for encode in ENCODERS.values():
        assert len(encode(tied)) < 0.6 * len(encode(untied))


def test_pytorch_and_safetensors_read_the_written_files(make_network, tmp_path):
    network = make_network(embedding_size=0)
    (tmp_path / "m.pt").write_bytes(encode_torch(network))
    (tmp_path / "m.safetensors").write_bytes(encode_safetensors(network))
    theirs = torch.load(tmp_path / "m.pt", weights_only=True)
    others = pytest.importorskip("safetensors.torch").load_file(tmp_path / "m.safetensors")
    for name, array in network.params.items():
        np.testing.assert_array_equal(theirs[name].numpy(), array)
        np.testing.assert_array_equal(others[name].numpy(), array)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_a_state_dict_is_found_within_a_training_checkpoint(key, reading):
    found = reading(saved({"epoch": 3, key: OrderedDict(a=torch.ones(2)), "optimizer": {"lr": 1.0}}))
    assert list(found.arrays) == ["a"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_read(dtype, reading):
    parameter = torch.nn.Parameter(torch.tensor([[0.5, -2.0]], dtype=dtype))
    np.testing.assert_array_equal(reading(saved({"a": parameter})).arrays["a"], [[0.5, -2.0]])


def test_bfloat16_in_safetensors_is_converted_exactly(reading):
    values = [0.5, -2.0, 3.140625, 1e-38, 0.0]
    content = pytest.importorskip("safetensors.torch").save({"a": torch.tensor([values], dtype=torch.bfloat16)})
    array = reading(content).arrays["a"]
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, torch.tensor([values]).bfloat16().float().numpy())


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.int16])
def test_integer_buffers_are_ignored_and_named(dtype, reading):
    tensors = {"a": torch.ones(2), "b.position_ids": torch.ones(3, dtype=dtype)}
    for content in (saved(tensors), pytest.importorskip("safetensors.torch").save(tensors)):
        found = reading(content)
        assert list(found.arrays) == ["a"]
        assert found.ignored == ["b.position_ids"]


class Evil:
    def __reduce__(self):
        return (open, ("executed", "w"))


def zipped(content, compression):
    """Return the same archive with another compression."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    return buffer.getvalue()


def header(text, data=b""):
    return struct.pack("<Q", len(text)) + text.encode() + data


def zipped_pickle(content):
    """Return a PyTorch archive with the given pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved({"a": torch.ones(2)}))) as old, zipfile.ZipFile(buffer, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, content if info.filename.endswith("data.pkl") else old.read(info))
    return buffer.getvalue()


def shortened(content, member, size):
    """Return a PyTorch archive in which a member is shorter than its tensors claim."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info)[: size if info.filename.endswith(member) else None])
    return buffer.getvalue()


HOSTILE = {
    "less than claimed": (shortened(saved({"a": torch.ones(4000), "b": torch.ones(9)}), "data/0", 16), "damaged"),
    "escapes": (saved({"\x1b[2J": torch.ones(2)}), "cannot be the name"),
    "long name": (saved({"a" * 10_000: torch.ones(2)}), "cannot be the name"),
    "empty": (b"", "begins like neither"),
    "text": (b"some words, quite a few of them\n", "begins like neither"),
    "bare pickle": (pickle.dumps({"a": 1}), "begins like neither"),
    "code": (saved({"a": Evil()}), "more than tensors"),
    "module": (saved(torch.nn.Linear(2, 2)), "more than tensors: a .*Linear.*state_dict"),
    "module in a dict": (saved({"model": torch.nn.LSTM(2, 2)}), "more than tensors: a 'torch.nn.modules.rnn.LSTM'"),
    "instruction": (zipped_pickle(b"\x80\x02\x93\x1b[31m"), "damaged"),
    "number": (saved(5), "holds a int"),
    "no tensors": (saved({"a": 5}), "holds a dict"),
    "nothing": (saved({}), "holds a dict"),
    "numbers as names": (saved({1: torch.ones(2)}), "holds a dict"),
    "whole numbers": (saved({"a": torch.ones(2, dtype=torch.int64)}), "'a' is a tensor of torch.int64"),
    "complex": (saved({"a": torch.ones(2, dtype=torch.complex64)}), "complex64"),
    "sparse": (saved({"a": torch.eye(3).to_sparse()}), "sparse|more than tensors"),
    "meta": (saved({"a": torch.ones(2, device="meta")}), "plain floats"),
    "view": (saved({"a": torch.zeros(1).expand(100_000, 100_000)}), "claim 40,000,000,000 bytes"),
    "nan": (saved({"a": torch.tensor([float("nan")])}), "a holds values that are not finite"),
    "cut": (saved({"a": torch.ones(1000)})[:2000], "damaged"),
    "packed": (zipped(saved({"a": torch.zeros(100_000)}), zipfile.ZIP_DEFLATED), "compressed"),
    "no archive": (b"PK\x03\x04" + bytes(200), "damaged"),
    "an archive of something": (zipped(zipped(b"PK\x05\x06" + bytes(18), 0), 0), "begins like neither|damaged"),
    "safetensors cut": (header('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', bytes(8)), "damaged"),
    "safetensors long": (header('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', bytes(32)), "damaged"),
    "safetensors lie": (header('{"a":{"dtype":"F32","shape":[99999999],"data_offsets":[0,16]}}', bytes(16)), "damaged"),
    "safetensors overlap": (
        header(
            '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}',
            bytes(16),
        ),
        "damaged",
    ),
    "safetensors header": (struct.pack("<Q", 1 << 62) + b'{"a"', "damaged"),
    "safetensors int": (header('{"a":{"dtype":"I32","shape":[4],"data_offsets":[0,16]}}', bytes(16)), "type I32"),
    "safetensors empty": (header("{}"), "0 arrays"),
    "safetensors inf": (
        header('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', struct.pack("<f", float("inf"))),
        "not finite",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_unsupported_files_are_refused_in_a_sentence(name, reading, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, words = HOSTILE[name]
    with pytest.raises(ExchangeError, match=words) as caught:
        reading(content)
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()
    assert "[1m" not in str(caught.value)  # the rest of an escape sequence that was removed
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("kind", ENCODERS)
def test_random_damage_raises_only_exchange_errors(kind, make_network, reading):
    content, rng = ENCODERS[kind](make_network(hidden_size=3)), random.Random(1)
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 1, 4])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            found = reading(bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])]))
        except ExchangeError:
            continue
        assert sum(array.nbytes for array in found.arrays.values()) <= 2 * len(content)


def test_a_checkpoint_of_rnnlm_is_refused(make_network, model_of, tmp_path):
    model_of(make_network()).save(tmp_path / "m.npz")
    with pytest.raises(ExchangeError, match="checkpoint of rnnlm already"):
        read(tmp_path / "m.npz")


def test_missing_files_and_folders_are_refused(tmp_path):
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(ExchangeError, match="not a file"):
            read(path)


@pytest.mark.parametrize(("package", "extra"), packages.EXTRAS.items())
def test_a_missing_package_is_named_with_the_remedy(package, extra, make_network, monkeypatch):
    from rnnlm.exchange.onnx_graph import encode_onnx

    encode = {"torch": encode_torch, "safetensors": encode_safetensors, "onnx": encode_onnx}[package]
    for module in (package, f"{package}.numpy"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ExchangeError, match=rf"the package {package}.*pip install 'rnnlm-cli\[{extra}\]'"):
        encode(make_network())


def test_a_missing_package_is_not_reported_as_a_damaged_file(tmp_path, make_network, monkeypatch):
    path = tmp_path / "m.safetensors"
    path.write_bytes(encode_safetensors(make_network()))
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    with pytest.raises(ExchangeError, match="This needs the package safetensors"):
        weight_files.read(path)


@pytest.mark.parametrize("large", [False, True])
def test_a_zip_directory_of_a_million_members_is_refused_unread(tmp_path, monkeypatch, large):
    path = tmp_path / "many.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"")
        start = archive.fp.tell()
    entry = path.read_bytes()[start : start + 46 + len("a/data.pkl")]
    size, place = len(entry) * 1_000_000, start
    content = path.read_bytes()[:start] + entry * 1_000_000
    if large:
        content += struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, size, place)
        content += struct.pack("<4sLQL", b"PK\x06\x07", 0, place + size, 1)
        size = place = 0xFFFFFFFF
    path.write_bytes(content + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, size, place, 0))
    monkeypatch.setattr(weight_files.zipfile, "ZipFile", lambda path: pytest.fail("it was read"))
    with pytest.raises(ExchangeError, match="directory has 56,000,000 bytes"):
        weight_files.read(path)
