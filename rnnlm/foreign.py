"""Recognition of files that are not models of rnnlm, by their first bytes, with a remedy for error messages."""

import gzip
import os
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

GZIP = b"\x1f\x8b"
ARPA_NAMES = (".arpa", ".arpa.gz", ".lm", ".lm.gz")
BEGINNING = 1 << 16  # number of bytes, after decompression, that are examined
_DATA = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*\\data\\\s*$", re.MULTILINE)
_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1a]")
# Magic numbers (regular expressions) of compressed files, and the program that unpacks them.
PACKED = {rb"BZh[1-9]1AY&SY": "bzip2", rb"\xfd7zXZ\x00": "xz", rb"\x28\xb5\x2f\xfd": "zstd"}
_IMPORT = "Make a model of it with: rnnlm import {path}"
_ONLY = "rnnlm import reads weights from PyTorch's state_dict and from safetensors only"
# Magic number, predicate and remedy of files that `rnnlm import` reads or refuses itself; _OTHERS has all others.
_WEIGHTS = (
    (rb"PK\x03\x04.{26}[^\0]{0,99}data\.pkl", "is a PyTorch file, not a checkpoint of rnnlm", _IMPORT),
    (rb'.{5}\0{3}\{\s*"', "is a safetensors file, not a checkpoint of rnnlm", _IMPORT),
    (
        rb"\x80[\x02-\x05]",
        "is a pickle, as old PyTorch files are, which can run code of a stranger and is not loaded",
        "Save the weights with torch.save(model.state_dict(), FILE) and use rnnlm import",
    ),
)
_OTHERS = (
    (
        rb"mmap lm http://kheafield\.com/code",
        "is a binary file of KenLM, which only KenLM can read",
        "Give the ARPA file that it was built from, as lmplz wrote it; KenLM cannot turn it back into one",
    ),
    (
        rb"SRILM_BINARY_NGRAM",
        "is a binary file of SRILM, which only SRILM can read",
        "Make an ARPA file of it with: ngram -lm {path} -order 6 -write-lm {path}.arpa",
    ),
    (
        rb"iARPA|Q?blmt",
        "is a file of IRSTLM, which only IRSTLM can read",
        "Make an ARPA file of it with: compile-lm {path} --text=yes {path}.arpa",
    ),
    (rb"\x89HDF\r\n", "is an HDF5 file, as Keras writes them", _ONLY),
    (rb"\x93NUMPY", "is not a checkpoint, but a single array of NumPy", _ONLY),
    (rb"GGUF", "is a GGUF file", _ONLY),
    (
        rb"\x08[\x01-\x1f]\x12[\x01-\x40][ -~]",
        "is an ONNX file, which is for other programs",
        "Give the .npz file that it was exported from",
    ),
    (
        rb"version https://git-lfs\.github\.com",
        "is a pointer of Git LFS, not the file itself",
        "Fetch the file with: git lfs pull",
    ),
    (rb"\s*<(?i:!doctype html|html)", "is a web page, not a model", "Download the model once more, and look at it"),
    (
        rb'\s*\{\s*"format": "rnnlm vocabulary"',
        "is the vocabulary of an exported model",
        "Give the file of weights beside it to rnnlm import",
    ),
    (rb"\xff\xfe|\xfe\xff", "is in UTF-16", "If it is an ARPA file, convert it first: iconv -f UTF-16 -t UTF-8"),
    *(
        (magic, f"is compressed by {program}; only gzip is unpacked here", f"Use: {program} -dk {{path}}")
        for magic, program in PACKED.items()
    ),
)


def beginning(path: str | os.PathLike[str]) -> bytes:
    """Return the first bytes of a file, decompressed if gzipped; empty if it is not a regular, readable file."""
    if not os.path.isfile(path):  # before open(), which waits on a named pipe
        return b""
    try:
        with open(path, "rb") as file:
            begin = file.read(BEGINNING)
        if not begin.startswith(GZIP):
            return begin
        with gzip.open(path) as unpacked:
            return unpacked.read(BEGINNING)
    except (OSError, EOFError, zlib.error):
        return b""


def known_form(path: str | os.PathLike[str]) -> str | None:
    """Return a predicate and remedy, "is ... . Use ... .", for a file of another program; None if not recognised."""
    return _form(path, _WEIGHTS + _OTHERS)


def form_without_weights(path: str | os.PathLike[str]) -> str | None:
    """Like `known_form`, but None for the files of weights that `rnnlm import` handles."""
    return _form(path, _OTHERS)


def _form(path: str | os.PathLike[str], forms: Iterable[tuple[bytes, str, str]]) -> str | None:
    begin = beginning(path)
    for magic, what, remedy in forms:
        if re.match(magic, begin, re.DOTALL):
            return f"{what}. {remedy.format(path=path)}."
    return None


def described(path: str | os.PathLike[str]) -> str:
    """Return a predicate and remedy, "is ... . Use ... .", for a file that is not a checkpoint."""
    if os.path.isdir(path):
        models = sorted(each for pattern in ("*.npz", "*.arpa", "*.arpa.gz") for each in Path(path).glob(pattern))
        inside = f"such as {models[0]}" if models else "but there is none: no .npz and no .arpa"
        return f"is not a file, but a folder. Give the model in it, {inside}."
    if not os.path.isfile(path):
        return "is not a file. Give the .npz file that `rnnlm train` wrote."
    return known_form(path) or _described(path, beginning(path))


def _described(path: str | os.PathLike[str], begin: bytes) -> str:
    if not begin:
        return "is not a checkpoint: it is empty or damaged. Use another copy of it or train again."
    if _DATA.search(begin):
        return "is an ARPA file: an n-gram model, from which no training can start. Give the checkpoint of a network."
    if not _CONTROLS.search(begin):
        return f"is not a checkpoint, but a text. Make a model of it with: rnnlm train {path}"
    return "is not a checkpoint: it does not begin like an .npz file. Give the file that `rnnlm train` wrote."


def is_arpa(path: str | os.PathLike[str]) -> bool:
    r"""Return whether a file is an ARPA file: it has a line \data\, or an ARPA name and is not a zip archive."""
    begin = beginning(path)
    if _DATA.search(begin):
        return True
    return str(path).endswith(ARPA_NAMES) and not begin.startswith(b"PK\x03\x04")
