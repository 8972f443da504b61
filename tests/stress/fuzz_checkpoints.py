"""Load corrupted and forged model files with every command that reads models, and count the outcomes.

    python tests/stress/fuzz_checkpoints.py --files 100000 --seed 1
    python tests/stress/fuzz_checkpoints.py --seed 1 --only 4711      judge one file again and print all messages

Small models of every kind are trained first. Then each file is one of them with a change that depends only on the seed
and the number of the file. Checksums catch random damage before anything else is read, so most attacks are forgeries
with wrong content and true checksums. Each file is loaded, and then one of the commands that load a model is run on it.
The files are judged in a child process,

- whose memory may grow by 128 MB and 24 times the size of the file,
- which is killed if a file takes more than 60 seconds,
- in which unpickling, starting programs, connecting to sockets and writing outside its folder are faults.

A file may be refused with an error message of one line, or accepted if it works (and, where it was damaged at random,
if its content is unchanged). All else is a fault, which is printed with the number that repeats it.
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # read when NumPy is first imported

import argparse
import contextlib
import copy
import gzip
import io
import itertools
import json
import re
import resource
import select
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnlm import cli
from rnnlm.baselines.arpa import read_arpa
from rnnlm.errors import RnnlmError
from rnnlm.language_model import LanguageModel
from rnnlm.model_header import is_parameter
from rnnlm.nn.network import NetworkConfig
from rnnlm.storage import checkpoint

SECONDS_A_FILE = 60
GROWTH = 128 << 20  # bytes; each thread reserves 64 MB of address space
GROWTH_PER_BYTE = 24
LONGEST_SENTENCE = 1500  # characters

SENTENCES = [
    "the cat sat on the mat .",
    "a dog ran after the old cat !",
    "we saw 3 dogs and a cat near the mat",
    "我昨天上学迟到了，老师批评了我。",
    "他今天买了一部新手机。",
]
QUESTION = "the old cat 我昨天"
SMALL = ["--hidden-size", "4", "--embedding-size", "4", "--bptt", "8", "--batch-size", "4", "--threads", "1"]
SMALL_TIED = [*SMALL, "--softmax", "full", "--tied"]
KINDS = {
    "one-hot": ["--cell", "rnn", "--activation", "relu", *SMALL, "--embedding-size", "0", "--optimizer", "sgd"],
    "stream": ["--level", "char", *SMALL, "--num-layers", "2", "--vocab-size", "30"],
    "adaptive": ["--cell", "gru", *SMALL, "--hidden-size", "8", "--softmax", "adaptive", "--optimizer", "momentum"],
    "tied": ["--level", "char", "--context", "sentence", *SMALL_TIED, "--optimizer", "adagrad"],
    "network alone": ["--cell", "cifg", *SMALL, "--ngram", "0"],
    "bidirectional": ["--bidirectional", *SMALL, "--optimizer", "rmsprop"],
    "dictionary": ["--user-dict", "words.txt", *SMALL, "--lr", "5", "--epochs", "3"],
}
NGRAMS = {"ngram": ["--order", "3"], "ngram-stream": ["--order", "2", "--level", "char"]}

Rng = np.random.Generator
Arrays = dict[str, np.ndarray]


# --- models to attack ---------------------------------------------------------------------------------------------


class Model(NamedTuple):
    """A valid model file and its content."""

    name: str
    content: bytes
    header: dict[str, Any]
    arrays: Arrays


def make_models(folder: Path) -> None:
    """Train a small model of each kind in a folder."""
    (folder / "text.txt").write_text("\n".join(SENTENCES * 6) + "\n", encoding="utf-8")
    (folder / "short.txt").write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    (folder / "words.txt").write_text("上学迟到 5\n新手机\n", encoding="utf-8")
    with contextlib.chdir(folder):
        for name, options in KINDS.items():
            _must_work(["train", "text.txt", "-o", f"{name}.npz", "--epochs", "2", *options])
        for name, options in NGRAMS.items():
            _must_work(["ngram", "train", "text.txt", "-o", f"{name}.npz", *options])
        _must_work(["ngram", "train", "text.txt", "-o", "unused.npz", "--arpa", "model.arpa"])


def _must_work(arguments: list[str]) -> None:
    code, output = _ran(arguments)
    if code:
        raise RuntimeError(f"rnnlm {' '.join(arguments)}: {output}")


def read_models(folder: Path) -> tuple[list[Model], bytes]:
    """Return the models of a folder, and its ARPA file."""
    models = []
    for name in (*KINDS, *NGRAMS):
        path = folder / f"{name}.npz"
        models.append(Model(name, path.read_bytes(), *checkpoint.load(path)))
    return models, (folder / "model.arpa").read_bytes()


# --- forging files ------------------------------------------------------------------------------------------------

Members = list[tuple[str, bytes]]


def npy(array: np.ndarray, descr: str | None = None, shape: str | None = None, order: str = "False") -> bytes:
    """Return an .npy file of an array; `descr`, `shape` and `order` may contradict it."""
    text = f"{{'descr': '{descr or array.dtype.str}', 'fortran_order': {order}, 'shape': {shape or array.shape}, }}"
    text += " " * (21 - len(str(array.shape[0])) if array.ndim else 0)  # as NumPy does, so that the first axis can grow
    text += " " * (64 - (len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) & 0xFFFF) + text.encode() + array.tobytes()


def archive(members: Members, lie: Callable[[int, list[Any]], None] = lambda record, fields: None) -> bytes:
    """Return a ZIP archive with true sizes and CRCs, except for the fields of records that `lie` changes.

    Records are numbered from 0: local headers, then directory entries, then the end record.
    """
    content, directory = bytearray(), bytearray()
    for i, (name, data) in enumerate(members):
        spelt, offset = name.encode("utf-8", "surrogatepass"), len(content)
        crc, size = zlib.crc32(data), len(data)
        local = [b"PK\x03\x04", 45, 0, 0, 0, 33, crc, 0xFFFFFFFF, 0xFFFFFFFF, len(spelt), 20, spelt, 1, 16, size, size]
        lie(i, local)
        content += struct.pack("<4s5H3L2H", *local[:11]) + local[11] + struct.pack("<2H2Q", *local[12:]) + data
        numbers = [45, 0, 0, 0, 33, crc, size, size, len(spelt), 0, 0, 0, 0, 0o600 << 16, offset]
        entry = [b"PK\x01\x02", 3 << 8 | 45, *numbers, spelt]
        lie(len(members) + i, entry)
        directory += struct.pack("<4s6H3L5H2L", *entry[:-1]) + entry[-1]
    end = [b"PK\x05\x06", 0, 0, len(members), len(members), len(directory), len(content), 0]
    lie(2 * len(members), end)
    return bytes(content + directory) + struct.pack("<4s4H2LH", *end)


def header_of(header: dict[str, Any], arrays: Arrays) -> bytes:
    """Return the header as JSON with the true descriptions and checksums of the arrays."""
    described = {
        name: {
            "shape": list(a.shape),
            "dtype": a.dtype.name,
            "sha256": sha256(a.tobytes()).hexdigest(),
        }
        for name, a in arrays.items()
    }
    return sealed({**header, "format": "rnnlm", "version": 1, "arrays": described})


def sealed(header: dict[str, Any]) -> bytes:
    """Return the header as JSON with its true checksum."""
    return checkpoint._canonical({**header, "checksum": checkpoint._checksum(header)})


def members_of(header: bytes, arrays: Arrays) -> Members:
    """Return the members of a checkpoint."""
    rest = [(f"{name}.npy", npy(array)) for name, array in sorted(arrays.items())]
    return [("header.npy", npy(np.frombuffer(header, np.uint8))), *rest]


def forged(header: dict[str, Any], arrays: Arrays) -> bytes:
    """Return a checkpoint in which all checksums are true."""
    return archive(members_of(header_of(header, arrays), arrays))


# --- attacks ------------------------------------------------------------------------------------------------------

SAME, REFUSED, WORKS = "same", "refused", "works"


class File(NamedTuple):
    """A hostile file.

    right: the outcome allowed besides a refusal: the SAME content, none (REFUSED), or any that WORKS.
    """

    content: bytes
    right: str
    model: Model | None
    suffix: str = ".npz"
    holes: tuple[int, int] | None = None  # offset and size of zeros to insert as a hole when the file is written
    trainings: int = 1  # how often the commands that train are listed


Attack = Callable[[Rng, list[Model], bytes], File]
NUMBERS = [0, 1, 2, 3, 4, 7, 20, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 10**18, 2**63 - 1, 2**63, 2**64]
VALUES: list[Any] = [
    *(None, True, False, *NUMBERS, *(-number for number in NUMBERS[1:]), 10**30, 10**4000, -(10**400)),
    *(0.0, -0.0, 0.5, -0.5, 1.0, 1.5, 4.0, 1e-300, 5e-324, 1e300, -1e300, 1e18, 1.0000001),
    *("", "a", "ab", " ", "auto", "word", "char", "stream", "sentence", "rnn", "ngram", "lstm", "gru", "relu"),
    *("identity", "adam", "sgd", "adamw", "adaptive", "softmax", "full", "mse", "plateau", "orthogonal", "spaces"),
    *("jieba", "我", "<s>", "</s>", "\0", "\n", "\x1b]0;x\x07\x1b[2J", "\u202e", "\ud7ff", "\U0010ffff", "../../x"),
    *("a" * 3000, [], [[]], {}, [0], [1, 2, 3], [-1], ["a"], ["a", None], ["我", 5], [None], {"a": 1}),
    *({"progress": None}, {"name": 1}, [3, 4, 5, 6], list(range(3, 300)), [["x" * 500, 1]]),
    *([["云" * 50, None]] * 20, {str(i): i for i in range(300)}),
]


def pick(rng: Rng, values: Any) -> Any:
    """Return a random element of a sequence."""
    return values[int(rng.integers(len(values)))]


def nodes(value: Any, inside: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all values within a JSON value; of a list, only those of the first four elements."""
    keys = list(value) if isinstance(value, dict) else range(min(len(value), 4)) if isinstance(value, list) else ()
    for key in keys:
        yield (*inside, key)
        yield from nodes(value[key], (*inside, key))


def twisted(rng: Rng, value: Any) -> Any:
    """Return a variation of a value, or a random other value."""
    if type(value) in (int, float) and rng.random() < 0.5:
        return pick(rng, [value + 1, value - 1, -value, 2 * value, float(max(-1e300, min(value, 1e300))),
            str(value), [value], value // 2])  # fmt: skip
    if isinstance(value, list) and value and rng.random() < 0.6:
        place = int(rng.integers(len(value)))
        return pick(rng, [value[:place] + value[place + 1 :], [*value, value[place]], value[::-1],
            value[:place], value + value, [*value[:place], pick(rng, VALUES), *value[place + 1 :]],
            {str(place): value[place]}])  # fmt: skip
    if isinstance(value, str) and value and rng.random() < 0.4:
        return pick(rng, [value + " ", value.upper(), value[:-1], value * 2, [value], list(value)])
    return copy.deepcopy(pick(rng, VALUES))


def twist(rng: Rng, header: dict[str, Any], below: str | None = None) -> None:
    """Change a random value of a header, or of one of its parts."""
    root = header if below is None else header.setdefault(below, {})
    places = list(nodes(root)) if isinstance(root, (dict, list)) else []
    if not places or rng.random() < 0.03:
        header[below or pick(rng, list(header))] = copy.deepcopy(pick(rng, VALUES))
        return
    *way, last = pick(rng, places)
    for key in way:
        root = root[key]
    kind = rng.random()
    if kind < 0.1:
        del root[last]
    elif kind < 0.15 and isinstance(root, dict):
        root[pick(rng, ["x", "steps", "name", "state", "good", str(last) + "_"])] = copy.deepcopy(pick(rng, VALUES))
    else:
        root[last] = twisted(rng, root[last])


def plain(model: Model) -> tuple[dict[str, Any], Arrays]:
    """Return a copy of the model's header, without the fields that the forging adds, and its arrays."""
    header = copy.deepcopy(model.header)
    for key in ("format", "version", "arrays", "checksum"):
        header.pop(key)
    return header, dict(model.arrays)


def bits(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """One to three bits are flipped."""
    model = pick(rng, models)
    content = bytearray(model.content)
    for _ in range(int(rng.integers(1, 4))):
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    return File(bytes(content), SAME, model)


def pieces(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """Bytes are cut out, inserted, doubled or taken from another file."""
    model, other = pick(rng, models), pick(rng, models)
    content = model.content
    start, stop = sorted(int(each) for each in rng.integers(len(content) + 1, size=2))
    stop = min(stop, start + int(rng.integers(1, 400))) if rng.random() < 0.7 else stop
    piece = pick(
        rng, [b"", bytes(stop - start), rng.bytes(stop - start), other.content[start:stop], content[start:stop] * 2]
    )
    place = int(rng.integers(len(content)))
    changed = pick(rng, [content[:start] + piece + content[stop:], content[:place] + piece + content[place:]])
    return File(changed, SAME, model)


def truncation(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """The file is truncated."""
    model = pick(rng, models)
    return File(model.content[: int(rng.integers(len(model.content)))], REFUSED, model)


def archive_numbers(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """A number in a record of the archive is wrong, such as a size, an offset, a length or a version."""
    model = pick(rng, models)
    members = members_of(header_of(*plain(model)), model.arrays)
    record = int(rng.integers(2 * len(members) + 1)) if rng.random() < 0.8 else 2 * len(members)
    value, which = pick(rng, [*NUMBERS, -1, 8, 46]), rng.random()

    def lie(number: int, fields: list[Any]) -> None:
        if number == record:
            places = [i for i, each in enumerate(fields) if isinstance(each, int)]
            place = places[int(which * len(places))]
            most = 0xFFFF if fields[place] <= 0xFFFF and place not in (5, 6, 7, 8, 16) else 0xFFFFFFFF
            fields[place] = min(value, most) if value >= 0 else max(0, fields[place] + int(which * 100) - 50)

    with contextlib.suppress(struct.error):  # the number does not fit its field
        return File(archive(members, lie), SAME, model)
    return File(b"PK\x03\x04", REFUSED, model)


def member_names(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """A member is renamed, possibly to a path or an existing name, or an extra member is inserted."""
    model = pick(rng, models)
    members = members_of(header_of(*plain(model)), model.arrays)
    place = int(rng.integers(len(members)))
    name, data = members[place]
    evil = ["../../evil.npy", "/etc/evil.npy", "a\0.npy", "..npy", "", ".npy", "header", "我.npy", "a/b.npy",
        "C:\\a.npy", "A" * 65535, "__init__.py", "x.npy", name.upper(), f"./{name}", f"{name}.npy", pick(rng,
        members)[0]]  # fmt: skip
    if rng.random() < 0.5:
        members[place] = (pick(rng, evil), data)
    else:
        members.insert(int(rng.integers(len(members) + 1)), (pick(rng, evil), data))
    return File(archive(members), SAME, model)


def packed_members(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """A member is compressed, in a tenth of the cases with 16 MiB of zeros."""
    model = pick(rng, models)
    members = members_of(header_of(*plain(model)), model.arrays)
    place = int(rng.integers(len(members)))
    bomb = rng.random() < 0.1
    name, data = members[place][0], bytes(1 << 24) if bomb else members[place][1]
    small = zlib.compress(data, 9)[2:-4]
    members[place] = (name, small)

    def lie(number: int, fields: list[Any]) -> None:
        if number == len(members) + place:
            fields[5] = 8
            fields[7], fields[9] = zlib.crc32(data), len(data)

    return File(archive(members, lie), REFUSED, model)


SHAPES = ["(-1,)", "(1, -1)", "(3, -4, -1)", f"({2**63}, 2)", f"({2**62}, 4)", f"({2**32}, {2**32})",
    "(4294967295,)", "(0,)", f"({2**62}, 0)", "()", "(1,)", "(1, 1, 1, 1, 1)", "(01,)", "(1e3,)", "(True,)",
    "(1 ,)", "( 1,)", f"({'9' * 400},)", "(__import__('os').system('x'),)", "[3]", "3", "(,)", "(3,,)"]  # fmt: skip
DESCRS = ["|O", "<O8", ">f4", "<f16", "<c8", "<U1", "|S4", "|V4", "<M8", "<m8", "|f4", "=f4", "f4", "<f4,<f4",
    "<i4", "<f8", "<f2", "|b1", "|u1"]  # fmt: skip


def npy_headers(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """The header of an array gives another shape, type or order, or its content is a pickle or damaged."""
    model = pick(rng, models)
    header, arrays = plain(model)
    name = pick(rng, sorted(arrays))
    members = dict(members_of(header_of(header, arrays), arrays))
    target = "header.npy" if rng.random() < 0.2 else f"{name}.npy"
    array = arrays[name] if target != "header.npy" else np.frombuffer(header_of(header, arrays), np.uint8)
    kind = rng.random()
    if kind < 0.4:
        data = npy(array, shape=pick(rng, SHAPES))
    elif kind < 0.6:
        data = npy(array, descr=pick(rng, DESCRS))
    elif kind < 0.7:
        data = npy(array, order="True") if array.ndim > 1 else npy(array, order="1")
    elif kind < 0.8:
        data = pick(rng, [b"", b"\x80\x04.", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff", b"cos\nsystem\n(S'x'\ntR."])
    else:
        content = bytearray(npy(array))
        content[int(rng.integers(min(128, len(content))))] = int(rng.integers(256))
        data = bytes(content)
    return File(archive([*(members | {target: data}).items()]), SAME, model)


def described_arrays(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """The header's descriptions of the arrays, its version or its format are changed."""
    model = pick(rng, models)
    header = json.loads(header_of(*plain(model)))
    header.pop("checksum")
    twist(rng, header, pick(rng, ["arrays", "arrays", "version", "format"]))
    return File(archive(members_of(sealed(header), model.arrays)), SAME, model)


def json_texts(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """The header is invalid JSON, or valid JSON that is not canonical."""
    model = pick(rng, models)
    honest = header_of(*plain(model))
    place, depth = int(rng.integers(len(honest))), int(rng.integers(1, 100_000))
    key = pick(rng, [b'"lr":', b'"tokens":', b'"seed":', b'"version":'])
    value = pick(rng, [b"NaN", b"Infinity", b"1e999", b"9" * 5000, b'"\\ud800"', b"[" * depth, b'{"a":' * depth,
        b"01", b"tru", b"\xff", b"[" * depth + b"]" * depth, b'"' + b"\\u0000" * 50 + b'"', b"1.0", b"1 "])  # fmt: skip
    texts = [
        honest[:place] + value + honest[place:],
        honest[:place],
        re.sub(re.escape(key) + b"[^,}]*", lambda _: key + value, honest),
        honest[:-1] + b"," + key + value + b"}",
        json.dumps(json.loads(honest)).encode(),
        honest.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + honest,
        value,
    ]
    return File(archive(members_of(pick(rng, texts), model.arrays)), SAME, model)


def header_values(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """One or two values of the header are changed."""
    model = pick(rng, models)
    header, arrays = plain(model)
    for _ in range(int(rng.integers(1, 3))):
        twist(
            rng, header, pick(rng, [None, "network", "network", "tokenizer", "tokenizer", "context", "kind", "order"])
        )
    return File(forged(header, arrays), WORKS, model)


def training_values(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """One or two values of the header's training part are changed."""
    model = pick(rng, [each for each in models if each.name in KINDS])
    header, arrays = plain(model)
    for _ in range(int(rng.integers(1, 3))):
        part = header["training"]
        below = pick(rng, [None, "state", "state", "options", "options", "corpus"])
        twist(rng, part if isinstance(part, dict) else header, below)
    return File(forged(header, arrays), WORKS, model, trainings=4)


def vocabularies(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """Tokens or counts are invalid, repeated or exchanged."""
    model = pick(rng, models)
    header, arrays = plain(model)
    vocabulary = header["vocabulary"]
    part = vocabulary[pick(rng, ["tokens", "tokens", "counts"])]
    place = int(rng.integers(len(part)))
    kind = rng.random()
    if kind < 0.6:
        part[place] = twisted(rng, part[place])
    elif kind < 0.75:
        part[place] = part[place - 1]
    elif kind < 0.85:
        vocabulary["tokens"], vocabulary["counts"] = vocabulary["counts"], vocabulary["tokens"]
    else:
        twist(rng, header, "vocabulary")
    return File(forged(header, arrays), WORKS, model)


def shapes(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """An array has another shape or type, is missing, or is there under another name."""
    model = pick(rng, models)
    header, arrays = plain(model)
    name = pick(rng, sorted(arrays))
    array = arrays[name]
    new = pick(rng, ["float16", "float64", "int8", "int64", "bool", "uint64", "float32"])
    changes = [
        array.astype(new),
        array.T.copy(),
        array.reshape(-1),
        array[..., None],
        array[:0],
        array[:-1],
        np.concatenate([array, array]) if array.ndim else array,
        np.zeros((), np.float32),
    ]
    kind = rng.random()
    if kind < 0.65:
        arrays[name] = np.ascontiguousarray(pick(rng, changes))
    elif kind < 0.75:
        del arrays[name]
    elif kind < 0.85:
        arrays = {each: value.astype(new) for each, value in arrays.items()}
    else:
        others = ["rnn.weight_ih_l1", "rnn.x", "ngram.9.keys", "ngram.1.keys", "current.output.bias",
            "good.carried_state", "carried_state", "optimizer.mean.output.bias", "embedding.weight", "A",
            f"current.{name}", f"good.{name}"]  # fmt: skip
        arrays[pick(rng, others)] = array
    return File(forged(header, arrays), WORKS, model)


def weights(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """Weights are nan, infinite, huge or tiny, and integer tables are changed."""
    model = pick(rng, models)
    header, arrays = plain(model)
    name = pick(rng, sorted(arrays))
    array = arrays[name].copy()
    finite = rng.random() < 0.8
    if array.dtype.kind == "f":
        values = [3e38, -3e38, 1e30, 1e18, 1e-45, 0.0, -0.0, 1e9, -1e9] if finite else [np.nan, np.inf, -np.inf]
    else:
        finite, values = True, [0, -1, 1, 2**62 + 5, -(2**62) - 10, 2**63 - 1, -(2**63), 10**6]
    everywhere = rng.random() < 0.3
    for _ in range(int(rng.integers(1, 4))):
        place = slice(None) if everywhere else int(rng.integers(max(1, array.size)))
        if array.size:
            array.reshape(-1)[place] = np.array(pick(rng, values)).astype(array.dtype)
    arrays[name] = array
    return File(forged(header, arrays), WORKS if finite or not array.size else REFUSED, model)


def network_and_arrays(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """The network is changed, and the arrays are replaced by random ones that fit it."""
    model = pick(rng, [each for each in models if each.name in KINDS])
    header, arrays = plain(model)
    network = header["network"]
    for _ in range(int(rng.integers(1, 3))):
        field_name = pick(rng, sorted(network))
        network[field_name] = twisted(rng, network[field_name]) if rng.random() < 0.7 else pick(rng, NUMBERS[:8])
    with contextlib.suppress(RnnlmError):
        config = NetworkConfig.from_header(network)
        needed = dict(itertools.islice(config.shapes().items(), 200))
        if sum(abs(int(np.prod(shape, dtype=object))) for shape in needed.values()) < 100_000:
            rest = {name: array for name, array in arrays.items() if name not in parameters(arrays)}
            arrays = rest | {n: rng.normal(size=shape).astype(np.float32) for n, shape in needed.items()}
    return File(forged(header, arrays), WORKS, model)


def parameters(arrays: Arrays) -> Arrays:
    """Return those arrays that are parameters of the model."""
    return {name: array for name, array in arrays.items() if is_parameter(name)}


def arpa_texts(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """Lines of an ARPA file are changed, or it is truncated, huge, or compressed and damaged."""
    lines = arpa.split(b"\n")
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(len(lines)))
        fields = lines[place].split(b"\t")
        which = int(rng.integers(len(fields)))
        fields[which] = pick(rng, [b"", b"nan", b"inf", b"-inf", b"1e999", b"-1e999", b"99", b"-99", b"0",
            b"1_0", b"<s>", b"</s>", b"<unk>", b"the the", b"the", b"\xff", b"\0", b"\\u0020;", b"\\ud800;",
            b"9" * 400, b"x" * 3000])  # fmt: skip
        changes = [
            b"\t".join(fields),
            lines[place] + b" x",
            b"",
            b"\\end\\",
            b"\\data\\",
            b"\\2-grams:",
            b"ngram 1=99999999999",
            b"ngram 9=1",
            b"# rnnlm escapes: \\u0020; stands for a space, and so on",
        ]
        lines[place] = pick(rng, changes) if rng.random() < 0.8 else pick(rng, lines)
    content = b"\n".join(lines)
    if rng.random() < 0.2:
        content = content[: int(rng.integers(len(content)))]
    if rng.random() < 0.1:
        content = pick(
            rng,
            [
                bytes(1 << 22),
                b"\n" * (1 << 22),
                content.replace(b"\n\\2-grams:", b"\n-1\tthe\t0" * 200_000 + b"\n\\2-grams:"),
            ],
        )
    if rng.random() < 0.2:
        damaged = bytearray(gzip.compress(content, 1))
        if rng.random() < 0.5:
            damaged[int(rng.integers(len(damaged)))] ^= 1 << int(rng.integers(8))
        content = bytes(damaged)
    return File(content, WORKS, None, ".arpa")


def large_headers(rng: Rng, models: list[Model], arpa: bytes) -> File:
    """Headers are many megabytes long, a gigabyte of zeros, or expand to much more memory than their text."""
    model = pick(rng, models)
    header, arrays = plain(model)
    size = 1 << int(rng.integers(20, 25))
    kind = int(rng.integers(8))
    if kind == 0:  # a gigabyte, most of it a hole
        start = npy(np.zeros(0, np.uint8), shape=f"({1 << 30},)")
        content = archive([("header.npy", start)])
        return File(content, REFUSED, model, holes=(60 + len(start), 1 << 30))
    if kind == 1:
        texts = [
            b"[" * size,
            b"[],[" * (size // 4),
            b'{"":' * (size // 4),
            b" " * size,
            b'"' + b"a" * size + b'"',
            b"9" * size,
            b"[" + b"{}," * (size // 3) + b"0]",
        ]
        return File(archive([("header.npy", npy(np.frombuffer(pick(rng, texts), np.uint8)))]), REFUSED, model)
    if kind == 2:
        header["vocabulary"] = {"tokens": [f"{i:x}" for i in range(size // 12)], "counts": [1] * (size // 12)}
    elif kind == 3 and "network" in header:
        header["network"] |= {
            "cutoffs": list(range(3, size // 8)),
            "vocabulary_size": 2**31,
            "div_value": 1.0,
            "output": "adaptive",
            "tied": False,
        }
    elif kind == 4:
        options = {"segmenter": "auto", "hmm": False, "jieba": None, "user_dictionary": [["x" * size, None]]}
        if rng.random() < 0.5:
            options["user_dictionary"] = [[f"{i:0100x}", 1] for i in range(size // 110)]
        header["tokenizer"] = {"name": "word", "options": options}
    elif kind == 5:
        header[pick(rng, ["context", "kind", "tokenizer", "network", "vocabulary", "training"])] = pick(
            rng, ["x" * size, [0] * (size // 2), "\x1b" * (size // 6)]
        )
    elif kind == 6:
        header["training"] = {
            "state": {"progress": {"x" * size: 1}},
            "options": {"cell": "y" * size},
            "corpus": ["z" * size],
        }
    else:
        header["vocabulary"]["tokens"][0] = "我" * (size // 3)
    return File(forged(header, arrays), WORKS, model)


ATTACKS: dict[str, tuple[Attack, int]] = {
    "bits flipped": (bits, 80),
    "bytes cut out, put in, taken from another": (pieces, 80),
    "cut off": (truncation, 40),
    "numbers of the archive": (archive_numbers, 100),
    "names of members": (member_names, 60),
    "compressed members, bombs": (packed_members, 20),
    "headers of arrays": (npy_headers, 100),
    "descriptions of arrays": (described_arrays, 60),
    "JSON that is none, or not ours": (json_texts, 60),
    "values of the header": (header_values, 130),
    "values of the training": (training_values, 130),
    "vocabularies": (vocabularies, 80),
    "arrays that do not fit": (shapes, 90),
    "weights and tables": (weights, 90),
    "another network with its arrays": (network_and_arrays, 80),
    "ARPA files": (arpa_texts, 50),
    "headers of megabytes, of a gigabyte": (large_headers, 1),
}
_NAMES = list(ATTACKS)
_SHARES = np.array([share for _, share in ATTACKS.values()], dtype=float)
_SHARES /= _SHARES.sum()


def hostile(seed: int, number: int, models: list[Model], arpa: bytes) -> tuple[str, File]:
    """Return the attack and the file of a number; both depend only on the seed and the number."""
    rng = np.random.default_rng([seed, number])
    name = _NAMES[int(rng.choice(len(_NAMES), p=_SHARES))]
    return name, ATTACKS[name][0](rng, models, arpa)


# --- judging files ------------------------------------------------------------------------------------------------


@dataclass
class Judge:
    """Loads files and runs commands on them, in a folder that has the models."""

    folder: Path
    models: list[Model]
    memory: bool = True  # whether to limit memory
    said: list[str] = field(default_factory=list)

    def __call__(self, file: File, number: int) -> str:
        """Return the outcome for a file: "refused", "accepted", or "fault: " and a description."""
        rng = np.random.default_rng(number)
        path = self.folder / f"hostile{file.suffix}"
        _write(path, file)
        self.said = []
        try:
            with self._limited(path.stat().st_size):
                outcome = self._load(path, file)
                if outcome.startswith("fault") or (outcome == "accepted" and file.right == SAME):
                    return outcome
                if outcome == "accepted" and file.right == REFUSED:
                    return "fault: it was accepted"
                if outcome == "refused" and rng.random() > 0.03:
                    return outcome
                command = pick(rng, self._commands(path, file, rng))
                return self._run(command)
        except BaseException:
            return "fault: " + traceback.format_exc(limit=-3).strip().replace("\n", " | ")

    @contextlib.contextmanager
    def _limited(self, size: int) -> Iterator[None]:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        if self.memory:
            resource.setrlimit(resource.RLIMIT_AS, (used + GROWTH + GROWTH_PER_BYTE * size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))

    def _load(self, path: Path, file: File) -> str:
        try:
            if file.model is None:
                read_arpa(path)
                return "accepted"
            header, arrays = checkpoint.load(path)
            model = LanguageModel.from_parts(header, parameters(arrays))
        except RnnlmError as error:
            return self._refusal(str(error))
        if file.right == SAME and not (header == file.model.header and same(arrays, file.model.arrays)):
            return "fault: it was accepted with another content"
        del model
        return "accepted"

    def _refusal(self, sentence: str) -> str:
        self.said.append(sentence)
        if "\n" in sentence or len(sentence) > LONGEST_SENTENCE or not sentence.isprintable():
            return f"fault: no sentence but {len(sentence)} characters: {sentence[:200]!r}"
        if re.search(r"\bmemory", sentence) and "needs about" not in sentence:  # does not match long_memory
            return f"fault: more memory than the file needs: {sentence[:200]!r}"
        return "refused"

    def _commands(self, path: Path, file: File, rng: Rng) -> list[list[str]]:
        """Return command lines that load the file."""
        name, model = path.name, ["-m", path.name]
        beside = "one-hot.npz" if file.model is None else _beside(file.model)
        mixed = ["eval", "short.txt", "-m", beside, "--mix", f"{name}:0.5", "--json", "--threads", "1"]
        if file.model is None:
            return [mixed, ["eval", "short.txt", "-m", beside, "--baseline", name, "--json", "--threads", "1"]]
        keep = pick(rng, ["refuse", "keep", "map"])
        few = ["--threads", "1", "--epochs"]
        asked = [
            ["info", name, "--json"],
            ["info", name],
            ["predict", QUESTION, *model, "--json"],
            ["predict", QUESTION, *model, "--each"],
            ["sample", *model, "--length", "5", "--count", "2"],
            ["sample", *model, "--length", "4", "--beam", "3", "--prompt", QUESTION],
            ["sample", *model, "--length", "4", "--top-k", "3", "--top-p", "0.5", "--temperature", "0"],
            ["eval", "short.txt", *model, "--json", "--threads", "1"],
            ["eval", "short.txt", *model, "--dynamic", "--threads", "1"],
            ["score", "--text", QUESTION, *model, "--json"],
            ["score", "--text", QUESTION, *model, "--tokens"],
            ["fill", "the ____ cat ____ .", *model, "--json"],
            mixed,
        ]
        if file.model.name not in KINDS:
            return asked
        resumed = ["train", "text.txt", "-o", name, "--resume", *few, "2.2"]
        started = ["train", pick(rng, ["text.txt", "short.txt"]), "-o", "new.npz", "--init-from", name, *few, "0.2"]
        started += ["--init-vocabulary", keep, "--force"]
        return [*asked, *[resumed, started] * file.trainings]

    def _run(self, command: list[str]) -> str:
        self.said.append(" ".join(command))
        with contextlib.chdir(self.folder):
            code, output = _ran(command)
        self.said.append(output[-3000:])
        if code == 0:
            if "--json" in command:
                for line in output.splitlines():
                    if line.startswith("{"):
                        json.loads(line, parse_constant=_no_constant)
            return "accepted"
        if code == 1 and (found := re.findall("^Error: (.*)", output, re.DOTALL | re.MULTILINE)):
            return self._refusal(found[0].removesuffix("\n"))
        return f"fault: exit code {code}: {output[-300:]!r}"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _beside(model: Model) -> str:
    """Return the name of a model with the same tokens, to be mixed with this one."""
    return {
        "stream": "ngram-stream.npz",
        "ngram-stream": "stream.npz",
        "tied": "tied.npz",
        "dictionary": "dictionary.npz",
    }.get(model.name, "ngram.npz")


def same(found: Arrays, expected: Arrays) -> bool:
    """Return whether two sets of arrays have the same names, types, shapes and bytes."""
    return found.keys() == expected.keys() and all(
        (a.dtype, a.shape, a.tobytes()) == (expected[n].dtype, expected[n].shape, expected[n].tobytes())
        for n, a in found.items()
    )


def _ran(arguments: list[str]) -> tuple[int, str]:
    """Run a command line in this process and return its exit code and all output."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        code = cli.run(arguments)
    stream.flush()
    return code, stream.buffer.getvalue().decode("utf-8")


def _write(path: Path, file: File) -> None:
    if file.holes is None:
        path.write_bytes(file.content)
        return
    place, size = file.holes
    with open(path, "wb") as target:
        target.write(file.content[:place])
        target.seek(size, 1)
        target.write(file.content[place:])


def forbid(folder: Path) -> None:
    """Raise RuntimeError from now on when this process does anything that reading a model does not need."""
    allowed = (str(folder), "/dev/null")
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in (
            "pickle.find_class",
            "os.system",
            "os.exec",
            "os.posix_spawn",
            "subprocess.Popen",
            "socket.connect",
        ):
            raise RuntimeError(f"forbidden: {event} {arguments}")
        if event == "open" and isinstance(arguments[0], (str, bytes)) and int(arguments[2] or 0) & writing:
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if not path.startswith(allowed):
                raise RuntimeError(f"forbidden: writing {path}")

    sys.addaudithook(hook)


# --- processes ----------------------------------------------------------------------------------------------------


def judge_in_this_process(folder: Path, seed: int, numbers: range, report: Callable[[int, str, str], None]) -> None:
    """Judge the files of these numbers.

    `report` is called with number, attack and "" before, and with the outcome after each file.
    """
    models, arpa = read_models(folder)
    judge = Judge(folder, models)
    for model in models:  # load everything that stays in memory before memory is limited
        honest = File(model.content, WORKS, model)
        _write(folder / "hostile.npz", honest)
        for command in judge._commands(folder / "hostile.npz", honest, np.random.default_rng(0)):
            outcome = judge._run(command)
            if outcome.startswith("fault"):
                raise RuntimeError(f"{command}: {outcome}")
    for number in numbers:
        name, file = hostile(seed, number, models, arpa)
        report(number, name, "")
        report(number, name, judge(file, number))


def child(folder: Path, seed: int, first: int, last: int) -> None:
    """Judge files and print the outcomes to stdout for the parent process."""
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    forbid(folder)
    warnings.simplefilter("ignore")
    judge_in_this_process(
        folder,
        seed,
        range(first, last),
        lambda number, name, outcome: print(f"{number}\t{name}\t{outcome}", file=lines),
    )


def watched(folder: Path, seed: int, files: int) -> Iterator[tuple[int, str, str]]:
    """Yield the outcomes of all files, from child processes.

    If a child hangs or dies, this counts as a fault of its current file, and a new child continues with the next.
    """
    first = 0
    while first < files:
        command = [sys.executable, __file__, "--child", str(folder), "--seed", str(seed), "--files", str(files)]
        process = subprocess.Popen([*command, "--first", str(first)], stdout=subprocess.PIPE)
        pending: tuple[int, str] | None = None
        for line in _lines(process):
            number, name, outcome = line.split("\t", 2)
            pending = None if outcome else (int(number), name)
            if outcome:
                first = int(number) + 1
                yield int(number), name, outcome
        process.kill()
        code = process.wait()
        if pending is not None:
            first = pending[0] + 1
            yield (*pending, f"fault: it hung for {SECONDS_A_FILE} s or its process died (exit code {code})")
        elif first < files:
            raise RuntimeError(f"the process that judges ended with exit code {code} before file {first}")


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    """Yield the lines of a process until it ends or prints nothing for SECONDS_A_FILE."""
    assert process.stdout is not None
    rest = b""
    while select.select([process.stdout], [], [], SECONDS_A_FILE)[0]:
        found = os.read(process.stdout.fileno(), 1 << 16)
        if not found:
            return
        *lines, rest = (rest + found).split(b"\n")
        yield from (line.decode() for line in lines)


def table(counts: Counter[tuple[str, str]]) -> str:
    """Return the counts of each attack as a Markdown table."""
    rows = [
        "| attack | files | refused in a sentence | accepted unharmed | faults |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name in (*ATTACKS, "all"):
        found = [
            sum(n for (each, kind), n in counts.items() if name in (each, "all") and kind == wanted)
            for wanted in KINDS_OF_OUTCOME
        ]
        rows.append(f"| {name} | {sum(found):,} | " + " | ".join(f"{number:,}" for number in found) + " |")
    return "\n".join(rows)


KINDS_OF_OUTCOME = ("refused", "accepted", "fault")


def again(folder: Path, seed: int, number: int) -> None:
    """Judge one file in this process, keep the file and print all messages."""
    models, arpa = read_models(folder)
    name, file = hostile(seed, number, models, arpa)
    judge = Judge(folder, models, memory=False)
    outcome = judge(file, number)
    kept = Path(f"hostile-{seed}-{number}{file.suffix}").absolute()
    _write(kept, file)
    print(f"{name}: {outcome}", f"of {file.model.name}" if file.model else "", *judge.said, f"kept as {kept}", sep="\n")


def main() -> None:
    """Parse the options, judge the files and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="number of a single file")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.seed, options.first, options.files)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(os.path.realpath(name))
        os.environ["RNNLM_CACHE"] = str(folder / "cache")
        make_models(folder)
        if options.only is not None:
            again(folder, options.seed, options.only)
            return
        counts: Counter[tuple[str, str]] = Counter()
        started = time.monotonic()
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C prints the table so far
            for number, attack, outcome in watched(folder, options.seed, options.files):
                kind = outcome.partition(":")[0]
                counts[attack, kind] += 1
                if kind == "fault":
                    print(f"--seed {options.seed} --only {number}: {attack}: {outcome}", file=sys.stderr, flush=True)
    print(table(counts))
    print(f"\n{time.monotonic() - started:.0f} s, seed {options.seed}")
    sys.exit(any(kind == "fault" for _, kind in counts))


if __name__ == "__main__":
    main()
