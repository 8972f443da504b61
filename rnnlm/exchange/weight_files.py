"""Files of named arrays: PyTorch's state_dicts and safetensors.

A file to import is untrusted. No code in it is run (`weights_only=True`; safetensors cannot contain any), and the sizes
that it claims are compared with its own size.
"""

import io
import os
import re
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnlm.errors import ExchangeError, shown
from rnnlm.exchange.packages import load_package
from rnnlm.nn.network import Network
from rnnlm.nn.numerics import Array

# Keys of the state_dict in files that contain more.
STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model")
MAX_ARRAYS = 10_000
LONGEST_NAME = 200
MOST_OF_A_MEMBER = 512  # bytes per member in the directory of an archive
LONGEST_ZIP_END = (1 << 16) + 256  # bytes: end records and a comment
_ZIP_MAGIC = b"PK\x03\x04"
_NUMPY_NAME = b"header.npy"
_OBJECT = re.compile(r"GLOBAL ([\w.]+)")  # in PyTorch's message about an object that it does not load
_COLOURS = re.compile(r"\x1b\[[\d;]*m")
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickled magic number of torch.save before 1.6
_FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}  # BF16 is the upper half of a float32
_IGNORED = re.compile(r"I8|I16|I32|I64|U8|U16|U32|U64|BOOL")
_PARAMETER = re.compile(r"(?:weight|bias)[^.]*$")


class Weights(NamedTuple):
    """Arrays of floats in a file by name, its format, and the names of other entries."""

    kind: str  # "torch" or "safetensors"
    arrays: dict[str, Array]
    ignored: list[str]  # integer buffers, and entries that are not tensors


def encode_torch(network: Network) -> bytes:
    """Return a file with a state_dict; a tied matrix has both names, as in PyTorch, and is stored once."""
    torch = load_package("torch")
    tensors = {name: torch.from_numpy(array) for name, array in _arrays(network)}
    if network.config.tied:
        tensors["output.weight"] = tensors["embedding.weight"]
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue()


def encode_safetensors(network: Network) -> bytes:
    """Return a file with the parameters; a tied matrix has only the name `embedding.weight`."""
    encoded: bytes = load_package("safetensors.numpy").save(dict(_arrays(network)), metadata={"format": "pt"})
    return encoded


def _arrays(network: Network) -> Iterator[tuple[str, Array]]:
    for name, array in network.params.items():
        yield name, np.array(array, order="C")  # one-hot input weights are in column order


def read(path: str | os.PathLike[str]) -> Weights:
    """Read the arrays of a file, whose format is recognised by its first bytes.

    Raises:
        ExchangeError: the file is missing, damaged, of another format, contains something else than arrays of floats,
            or claims more bytes than it has; or the package that reads it is not installed.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise ExchangeError(
                f"{path} does not exist, or is not a file; expected a PyTorch state_dict or safetensors."
            )
        size = path.stat().st_size
        with open(path, "rb") as file:
            start = file.read(64)
    except OSError as error:
        raise ExchangeError(f"{path} cannot be read: {error.strerror or error}.") from None
    if start.startswith(_ZIP_MAGIC) and _NUMPY_NAME in start:
        raise ExchangeError(f"{path} is a checkpoint of rnnlm already; use it with -m {path}.")
    try:
        if start.startswith(_ZIP_MAGIC):
            _check_archive(path, size)
            weights = Weights("torch", *_read_torch(path, size))
        elif start.startswith(_OLD_TORCH):
            raise ExchangeError(
                "it was written by PyTorch before 1.6, or in that format. Save it again: "
                "torch.save(torch.load(FILE, weights_only=True), NEW)"
            )
        elif start[8:9] == b"{":
            weights = Weights("safetensors", *_read_safetensors(path))
        else:
            raise ExchangeError("it begins like neither. For PyTorch use torch.save(model.state_dict(), FILE)")
        _check(weights.arrays)
    except ExchangeError as error:
        if "pip install" in str(error):
            raise
        reason = str(error).rstrip(".")
        raise ExchangeError(f"{path} is not a PyTorch state_dict or a safetensors file: {reason}.") from None
    return weights


def _check(arrays: Mapping[str, Array]) -> None:
    """Raise ExchangeError unless all names are short and printable, and all numbers finite."""
    for name, array in arrays.items():
        if not name.isprintable() or len(name) > LONGEST_NAME:
            raise ExchangeError(f"{shown(name)} cannot be the name of a parameter")
        if not np.isfinite(array).all():
            raise ExchangeError(f"{name} holds values that are not finite; no model has such weights")


def _check_archive(path: Path, size: int) -> None:
    """Raise ExchangeError for an archive that PyTorch would not write: compressed, or larger than its file."""
    directory = _directory_size(path, size)
    if directory > MAX_ARRAYS * MOST_OF_A_MEMBER:
        raise ExchangeError(f"its directory has {directory:,} bytes, too many for {MAX_ARRAYS:,} arrays")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # zipfile raises many types for damaged files
        raise ExchangeError(f"it is damaged ({_reason(error)})") from None
    if any(member.filename.endswith("/constants.pkl") for member in members):
        raise ExchangeError(
            "it is a TorchScript archive, which holds code. Write its parameters: "
            "torch.save(torch.jit.load(FILE).state_dict(), NEW)"
        )
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    claimed = sum(member.file_size for member in members)
    if not stored or claimed > size:
        raise ExchangeError(f"its members are compressed, or claim {claimed:,} bytes where the file has {size:,}")


def _directory_size(path: Path, size: int) -> int:
    """Return the size in bytes of an archive's directory, as its end records claim.

    It is checked first because `zipfile` allocates about a kilobyte for every 46 bytes of it. The formats of the
    records are in PKWARE's APPNOTE.TXT, 4.3.14 and 4.3.16.
    """
    with open(path, "rb") as file:
        file.seek(max(0, size - LONGEST_ZIP_END))
        tail = file.read()
    found = 0
    for signature, fields in ((b"PK\x05\x06", "<12xL"), (b"PK\x06\x06", "<40xQ")):  # end record, zip64 end record
        place = tail.rfind(signature)
        if 0 <= place <= len(tail) - struct.calcsize(fields):
            said = struct.unpack_from(fields, tail, place)[0]
            found = max(found, 0 if said == 0xFFFFFFFF else said)  # 0xFFFFFFFF: see the zip64 record
    return int(found)


def _read_torch(path: Path, size: int) -> tuple[dict[str, Array], list[str]]:
    torch = load_package("torch")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # With mmap, no tensor can reach beyond the file. Without it, older versions of PyTorch did not check the
            # claimed sizes of tensors.
            loaded = torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # unpickling arbitrary bytes can raise almost anything
        if found := _OBJECT.search(str(error)):
            raise ExchangeError(
                f"it holds more than tensors: a {shown(found[1])}, an object whose code is not run. Save "
                "model.state_dict(), not the model: torch.save(model.state_dict(), FILE)"
            ) from None
        raise ExchangeError(
            f"it is damaged, or holds more than tensors, which is not loaded ({type(error).__name__}: "
            f"{_reason(error)}). Save model.state_dict(), not the model"
        ) from None
    tensors, ignored = _state_dict(loaded, torch.Tensor)
    wanted = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    for name, tensor in list(tensors.items()):
        whole = not (tensor.dtype.is_floating_point or tensor.dtype.is_complex)
        if whole and not _PARAMETER.search(name) and len(tensors) > 1:
            ignored.append(name)
            del tensors[name]
        elif tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.dtype not in wanted:
            raise ExchangeError(f"{shown(name)} is a tensor of {tensor.dtype}, {tensor.layout}; expected plain floats")
    # A view can claim any size. Twice the size of the file is allowed, because a tied matrix has two names.
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if claimed > 2 * size:
        raise ExchangeError(f"its tensors claim {claimed:,} bytes where the file has {size:,}")
    return {
        name: np.array((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy())
        for name, tensor in tensors.items()
    }, ignored


def _state_dict(loaded: Any, tensor_type: type) -> tuple[dict[str, Any], list[str]]:
    """Return the tensors of a loaded object by name, and the names of its other entries.

    The tensors are those of the entry with a name in STATE_DICT_KEYS, else those of the object itself, else those of
    all entries that are state_dicts, such as one per module, prefixed by their keys.
    """

    def is_state_dict(found: Any) -> bool:
        names = isinstance(found, dict) and all(isinstance(name, str) for name in found)
        return names and 0 < len(found) < MAX_ARRAYS and all(isinstance(each, tensor_type) for each in found.values())

    items = dict(loaded) if isinstance(loaded, dict) and all(isinstance(name, str) for name in loaded) else {}
    for key in STATE_DICT_KEYS:
        if is_state_dict(items.get(key)):
            return dict(items[key]), []
    tensors = {name: each for name, each in items.items() if isinstance(each, tensor_type)}
    parts = {name: each for name, each in items.items() if is_state_dict(each)}
    if not tensors:
        tensors = {f"{key}.{name}": tensor for key, part in parts.items() for name, tensor in part.items()}
        items = {name: each for name, each in items.items() if name not in parts}
    if not 0 < len(tensors) < MAX_ARRAYS:
        raise ExchangeError(
            f"it holds a {type(loaded).__name__}, expected names and tensors. Use torch.save(model.state_dict(), FILE)"
        )
    return tensors, [name for name in items if name not in tensors]


def _read_safetensors(path: Path) -> tuple[dict[str, Array], list[str]]:
    # deserialize() compares the sizes in the header with each other and with that of the file.
    deserialize = load_package("safetensors").deserialize
    try:
        found = deserialize(path.read_bytes())
    except Exception as error:  # SafetensorError
        raise ExchangeError(f"it is damaged ({_reason(error)})") from None
    if not 0 < len(found) < MAX_ARRAYS:
        raise ExchangeError(f"it has {len(found):,} arrays; expected 1 to {MAX_ARRAYS - 1:,}")
    arrays, ignored = {}, []
    for name, tensor in found:
        kind = tensor["dtype"]
        if kind in _FLOATS:
            array = np.frombuffer(tensor["data"], _FLOATS[kind]).reshape(tensor["shape"])
            arrays[name] = (array.astype("<u4") << 16).view("<f4") if kind == "BF16" else array
        elif _IGNORED.fullmatch(kind) and not _PARAMETER.search(name) and len(found) > 1:
            ignored.append(name)
        else:
            raise ExchangeError(f"{shown(name)} is of the type {kind}; expected one of {', '.join(sorted(_FLOATS))}")
    return arrays, ignored


def _reason(error: Exception) -> str:
    """Return the beginning of a foreign error message, which may quote the file, on one printable line."""
    said = _COLOURS.sub("", " ".join(str(error).rpartition("WeightsUnpickler error: ")[2].split()))[:120]
    return "".join(character if character.isprintable() else "?" for character in said)
