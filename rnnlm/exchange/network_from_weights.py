"""Recognition of a network from the names and shapes of its PyTorch arrays: cell, sizes, layers and output layer.

Any prefix is accepted (`module.rnn.weight_ih_l0`), and any names of the embedding and the output layer: of two
matrices, the one with a bias is the output. The activation of the basic cell cannot be recognised.

Layers may be separate modules whose names differ in a number (`lstm1.`, `lstm2.`, `rnns.0.module.`), or cells
(`weight_ih` for `weight_ih_l0`). `weight_hh_l0_raw` is the matrix before dropout in AWD-LSTM (Merity et al. 2017).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import NamedTuple

import numpy as np

from rnnlm.errors import CheckpointError, ExchangeError
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import OF_TRAINING, NetworkConfig
from rnnlm.nn.numerics import Array
from rnnlm.nn.outputs import tail_width
from rnnlm.sentences import Sentence, listed

Shape = tuple[int, ...]
CELL_OF_GATES = {cell.gates: name for name, cell in CELLS.items() if cell.torch}  # other cells need a description
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
LARGEST_LAYER = 1_000
DEFAULT_DIV_VALUE = 4.0

_RECURRENT = re.compile(
    r"(?P<prefix>(?:.*\.)?)(?P<part>(?:weight|bias)_(?:ih|hh))"
    r"(?:_l(?P<layer>0|[1-9]\d{0,3})(?P<direction>_reverse)?)?(?P<raw>_raw)?"
)
_WRAPPED = re.compile(r"(?<![^.])module\.")  # part of a prefix: by DataParallel, or AWD-LSTM's WeightDrop
_NUMBERED = re.compile(r"(.*?)_?(\d*)")
_ADAPTIVE = re.compile(r"(?P<prefix>.*?)(?P<part>head\.(?:weight|bias)|tail\.\d{1,3}\.[01]\.weight)")
_READS = re.compile(r"(?<![a-z])(?:enc|emb|wte|lookup|in(?:put)?(?![a-z]))", re.IGNORECASE)  # in names of embeddings
_PLAIN = re.compile(r"(?P<module>.+)\.(?P<part>weight|bias)")


class Recognised(NamedTuple):
    """Configuration and parameters of a network, under the names of rnnlm, and notes for the user."""

    config: NetworkConfig
    params: dict[str, Array]
    notes: list[str]


def recognise(
    arrays: Mapping[str, Array], described: NetworkConfig | None = None, activation: str | None = None
) -> Recognised:
    """Return the network with these parameters.

    Args:
        arrays: Arrays of a file by name.
        described: Configuration in the vocabulary file. It must match the arrays, and adds dropout and activation.
        activation: Activation of the basic cell, if there is no description.

    Raises:
        ExchangeError: a name is missing or unknown, or a shape contradicts the others or the description.
    """
    names, notes = _renamed(arrays)
    found = {name: arrays[theirs] for name, theirs in names.items()}
    notes += [
        Sentence("{theirs} is taken as {name}.", theirs=theirs, name=name)
        for name, theirs in names.items()
        if _is_renamed_module(name, theirs)
    ]
    notes += _add_missing_biases(found)
    tied = _untie(found, described)
    if widths := _different_widths(found):
        if tied:
            found["output.weight"], tied = found["embedding.weight"], False
        notes.append(_widen(found, widths, names))
    shapes = {name: array.shape for name, array in found.items()}
    config = replace(_config(shapes, names, described), tied=tied)
    config = _described(config, described, activation)
    _check_shapes(config, shapes, names)
    if rounded := sum(array.dtype == np.float64 for array in found.values()):
        notes.append(Sentence("{n} arrays of float64 are rounded to float32.", n=rounded))
    with np.errstate(over="ignore"):
        params = {name: found[name].astype(np.float32) for name in config.shapes()}
    for name, array in params.items():
        if not np.isfinite(array).all():
            raise ExchangeError(f"{names.get(name, name)} holds numbers that are too large for float32.")
    return Recognised(config, params, notes)


# --- names ------------------------------------------------------------------------------------------------------


def _renamed(arrays: Mapping[str, Array]) -> tuple[dict[str, str], list[str]]:
    """Return a mapping from names in rnnlm to names in the file, and notes."""
    rest = [theirs for theirs in arrays if not _RECURRENT.fullmatch(theirs)]
    names, notes = _recurrent(arrays, rest)
    adaptive = {theirs: match for theirs in rest if (match := _ADAPTIVE.fullmatch(theirs))}
    if any(".tail." in f".{theirs}" for theirs in adaptive):
        if len({match["prefix"] for match in adaptive.values()}) != 1:
            raise ExchangeError(f"Found two adaptive output layers among {_some(adaptive)}; expected one.")
        names |= {f"output.{match['part']}": theirs for theirs, match in adaptive.items()}
        rest = [theirs for theirs in rest if theirs not in adaptive]
        return names | _modules(_without_copies(rest, arrays), {"embedding"}), notes
    rest = _without_copies(rest, arrays)
    if plain := _without_bias(rest, arrays, names):
        return names | plain, notes
    return names | _modules(rest, {"embedding", "output"}), notes


def _recurrent(theirs: Iterable[str], rest: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the names of recurrent layers, as `_renamed` does; numbered modules are stacked in order."""
    modules: dict[str, dict[tuple[str, int, str], str]] = {}
    found = [match for name in theirs if (match := _RECURRENT.fullmatch(name))]
    for match in sorted(found, key=lambda match: match["raw"] is None):
        module = modules.setdefault(_WRAPPED.sub("", match["prefix"]), {})
        other = module.setdefault((match["part"], int(match["layer"] or 0), match["direction"] or ""), match[0])
        if other != match[0] and not other.endswith("_raw"):
            raise ExchangeError(f"Found both {other} and {match[0]}; expected the layers of one network.")
    names, below = {}, 0
    ordered = _ordered(list(modules), rest)
    for prefix in ordered:
        for (part, layer, direction), name in modules[prefix].items():
            names[f"rnn.{part}_l{below + layer}{direction}"] = name
        below += 1 + max(layer for _, layer, _ in modules[prefix])
    notes = list[str]()
    if len(ordered) > 1:
        layers = "{modules} are taken as layers, each reading the one before."
        notes.append(Sentence(layers, modules=", ".join(ordered)))
    if raw := [match[0] for match in found if match["raw"]]:
        notes.append(Sentence("{names} taken as weights without dropout.", names=_some(raw)))
    return names, notes


def _ordered(prefixes: list[str], rest: list[str]) -> list[str]:
    """Return the prefixes of recurrent modules, which differ in a number, from the first layer to the last."""
    split = [prefix.split(".") for prefix in prefixes]
    if split and len({len(parts) for parts in split}) == 1:
        differing = [place for place, parts in enumerate(zip(*split, strict=True)) if len(set(parts)) > 1]
        if not differing:
            return prefixes
        numbered = [_NUMBERED.fullmatch(parts[differing[0]]) for parts in split]
        stems = {match[1] for match in numbered if match}
        numbers = [int(match[2] or -1) for match in numbered if match]
        if len(differing) == 1 and len(stems) == 1 and len(set(numbers)) == len(numbers):
            return [prefix for _, prefix in sorted(zip(numbers, prefixes, strict=True))]
    what = f"layers under the names {', '.join(sorted(prefixes)[:4])}" if prefixes else f"only {_some(rest)}"
    raise ExchangeError(
        f"Found {what}; expected those of one recurrent network: weight_ih_l0, weight_hh_l0, ... of one module, or of "
        "modules whose names differ in a number (lstm1, lstm2)."
    )


def _without_copies(names: list[str], arrays: Mapping[str, Array]) -> list[str]:
    """Return the names without copies of the embedding, such as that of AWD-LSTM's embedding dropout."""
    plain = [name for name in names if name.endswith(".weight") and f"{name.removesuffix('weight')}bias" not in names]
    return [name for name in names if name not in plain[1:] or not _are_equal(arrays[name], arrays[plain[0]])]


def _modules(rest: list[str], wanted: set[str]) -> dict[str, str]:
    """Return the names of embedding and output layer, as `_renamed` does; the output layer has a bias."""
    matches = [(theirs, _PLAIN.fullmatch(theirs)) for theirs in rest]
    with_bias = {match["module"] for _, match in matches if match and match["part"] == "bias"}
    without = {match["module"] for _, match in matches if match} - with_bias
    unknown = [theirs for theirs, match in matches if not match]
    if "output" in wanted and not with_bias and not unknown:
        raise ExchangeError(
            f"Found {_some(rest)} beside the recurrent layers, and no bias; expected output.bias, which tells the "
            "output layer from the embedding. Add one of zeros."
        )
    if unknown or len(with_bias) > ("output" in wanted) or len(without) > 1:
        raise ExchangeError(
            f"Found {_some(unknown or rest)} beside the recurrent layers; expected "
            f"{' and '.join(f'one {module} layer' for module in sorted(wanted))}. A model for rnnlm has one embedding "
            "without a bias at most, and one output layer with a bias or an adaptive softmax."
        )
    ours = dict.fromkeys(with_bias, "output") | dict.fromkeys(without, "embedding")
    return {f"{ours[match['module']]}.{match['part']}": theirs for theirs, match in matches if match}


def _without_bias(rest: list[str], arrays: Mapping[str, Array], names: Mapping[str, str]) -> dict[str, str]:
    """Return the names of embedding and output layer if none has a bias, told apart by widths or else by names.

    Empty if that is ambiguous. A single matrix that fits both is a tied embedding.
    """
    hidden = [arrays[names[name]].shape[-1:] for name in names if name.startswith("rnn.weight_hh_l")]
    first = names.get("rnn.weight_ih_l0")
    if first is None or not hidden or any(not each.endswith(".weight") or arrays[each].ndim != 2 for each in rest):
        return {}
    read, written = arrays[first].shape[-1:], hidden[-1]
    if len(rest) == 1:
        width = arrays[rest[0]].shape[1:]
        if width == written and read == arrays[rest[0]].shape[:1]:  # one-hot input
            return {"output.weight": rest[0]}
        return {"embedding.weight": rest[0]} if width == read == written else {}
    orders = [order for order in (rest, rest[::-1]) if [arrays[each].shape[1:] for each in order] == [read, written]]
    if len(rest) == 2 and len(orders) == 2:
        orders = [order for order in orders if _READS.search(order[0]) and not _READS.search(order[1])]
    return dict(zip(("embedding.weight", "output.weight"), orders[0], strict=True)) if len(orders) == 1 else {}


def _some(names: object) -> str:
    found = sorted(names)  # type: ignore[call-overload]
    return listed([name if len(name) <= 60 else f"{name[:57]}..." for name in found], 4) or "nothing"


def _is_renamed_module(name: str, theirs: str) -> bool:
    return name in ("embedding.weight", "output.weight") and name != theirs


def _add_missing_biases(found: dict[str, Array]) -> list[str]:
    """Add zeros for biases that are missing, because PyTorch modules may have none; return notes."""
    recurrent = [name for name in found if name.startswith("rnn.weight_")]
    absent: dict[str, Array] = {}
    for name in recurrent:
        biases = {f"rnn.bias_{part}_l{name.partition('_l')[2]}" for part in ("ih", "hh")}
        if not biases & found.keys():
            absent[name.replace("weight", "bias")] = np.zeros(_rows(found[name]), np.float32)
    matrix = found.get("output.weight", found.get("embedding.weight"))
    if matrix is not None and {name for name in found if name.startswith("output.")} <= {"output.weight"}:
        absent["output.bias"] = np.zeros(_rows(matrix), np.float32)
    if "output.head.weight" in found and "output.head.bias" not in found:
        absent["output.head.bias"] = np.zeros(_rows(found["output.head.weight"]), np.float32)
    found |= absent
    return [Sentence("Biases that the file does not have are zero.")] if absent else []


def _rows(array: Array) -> int:
    return len(array) if array.ndim else 0


def _untie(found: dict[str, Array], described: NetworkConfig | None) -> bool:
    """Return whether output matrix and embedding are tied; if the file has the matrix twice, remove one."""
    if "embedding.weight" not in found or "output.bias" not in found:
        return False
    if "output.weight" not in found:
        return True
    embedding, output = found["embedding.weight"], found["output.weight"]
    if (
        not _are_equal(embedding, output)
        or any("_reverse" in name for name in found)
        or (described is not None and not described.tied)
    ):
        return False
    del found["output.weight"]
    return True


def _are_equal(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)


# --- layers of different widths ---------------------------------------------------------------------------------


def _different_widths(found: Mapping[str, Array]) -> list[int]:
    """Return the hidden sizes of the layers if they differ and no array is missing; else an empty list."""
    recurrent = {name: array for name, array in found.items() if name.startswith("rnn.")}
    layers = sum(name.startswith("rnn.weight_hh") for name in recurrent)
    wanted = {f"rnn.{part}_l{layer}" for part in PARTS for layer in range(layers)}
    if recurrent.keys() != wanted or any(array.ndim != 1 + ("weight" in name) for name, array in recurrent.items()):
        return []
    widths = [found[f"rnn.weight_hh_l{layer}"].shape[1] for layer in range(layers)]
    return widths if len(set(widths)) > 1 else []


def _widen(found: dict[str, Array], widths: list[int], names: Mapping[str, str]) -> str:
    """Pad narrower layers with units whose weights, in and out, and biases are zero; return a note.

    The network computes the same function: a padded unit has a constant value, 0, or 1/2 for the sigmoid, and its
    outgoing weights are zero.
    """
    if "output.head.weight" in found and widths[-1] < max(widths):
        raise ExchangeError(
            f"Found layers of the widths {', '.join(map(str, widths))} under an adaptive softmax; expected none to be "
            "wider than the last."
        )
    H, gates = max(widths), len(found["rnn.bias_hh_l0"]) // max(1, widths[0])
    for layer, width in enumerate(widths):
        below = widths[layer - 1] if layer else found["rnn.weight_ih_l0"].shape[1]
        columns = {"weight_ih": (below, H if layer else below), "weight_hh": (width, H)}
        for part in PARTS:
            name = f"rnn.{part}_l{layer}"
            array, of_part = found[name], [columns[part]] if part in columns else []
            expected = (gates * width, *(now for now, _ in of_part))
            if array.shape != expected or not array.size:
                raise ExchangeError(
                    f"{names.get(name, name)} has the shape {array.shape}; expected {expected}, since its layer has "
                    f"the width {width}, and what it reads {below}."
                )
            added = [(0, 0), (0, H - width), *((0, then - now) for now, then in of_part)]
            padded = np.pad(array.reshape(gates, width, *array.shape[1:]), added)
            found[name] = padded.reshape(gates * H, *padded.shape[2:])
    output = found.get("output.weight")
    if output is not None and output.shape[1:] == (widths[-1],):
        found["output.weight"] = np.pad(output, [(0, 0), (0, H - widths[-1])])
    padded_to = "Layers of the widths {widths} are padded to {width} with units that have no effect."
    return Sentence(padded_to, widths=", ".join(map(str, widths)), width=H)


# --- sizes ------------------------------------------------------------------------------------------------------


def _config(shapes: Mapping[str, Shape], names: Mapping[str, str], described: NetworkConfig | None) -> NetworkConfig:
    """Return the configuration that the names and shapes imply."""
    for name, shape in shapes.items():
        axes = 1 if "bias" in name else 2
        if len(shape) != axes or not all(shape):
            raise ExchangeError(
                f"{names.get(name, name)} has the shape {shape}; expected {axes} "
                f"ax{'i' if axes == 1 else 'e'}s, none of them empty."
            )
    width, cell = _cell(shapes, names, described)
    layers = 1 + max(int(name.partition("_l")[2].removesuffix("_reverse")) for name in shapes if name.startswith("rnn"))
    if layers > LARGEST_LAYER:
        raise ExchangeError(f"Found layer {layers - 1:,}; a network has at most {LARGEST_LAYER:,} layers.")
    bidirectional = any(name.endswith("_reverse") for name in shapes)
    if bidirectional and layers > 1 and shapes.get("rnn.weight_ih_l1", ())[-1:] == (2 * width,):
        raise ExchangeError(
            "Found a bidirectional network whose second layer reads both directions of the first, as in PyTorch; there "
            "it sees the word to be predicted. Expected two separate stacks of layers: rnn.weight_ih_l1 of shape "
            f"({shapes['rnn.weight_ih_l1'][0]}, {width}). Use a network of one layer or of one direction."
        )
    if "embedding.weight" in shapes:
        vocabulary_size, embedding_size = shapes["embedding.weight"]
    else:
        vocabulary_size, embedding_size = _shape(shapes, "rnn.weight_ih_l0")[1], 0
    config = NetworkConfig(
        vocabulary_size=vocabulary_size,
        cell=cell,
        hidden_size=width,
        num_layers=layers,
        embedding_size=embedding_size,
        bidirectional=bidirectional,
    )
    if "output.head.weight" not in shapes:
        return config
    cutoffs, div_value = _clusters(shapes, width * len(config.directions), described)
    return replace(config, output="adaptive", cutoffs=cutoffs, div_value=div_value)


def _shape(shapes: Mapping[str, Shape], name: str) -> Shape:
    if name not in shapes:
        raise ExchangeError(f"Found no {name}; a network with {_some(shapes)} needs it.")
    return shapes[name]


def _cell(shapes: Mapping[str, Shape], names: Mapping[str, str], described: NetworkConfig | None) -> tuple[int, str]:
    """Return hidden size H and cell, from the shape (gates * H, H) of weight_hh.

    A cell without weight_hh needs a description.
    """
    if described is not None and not CELLS[described.cell].recurrent:
        return described.hidden_size, described.cell
    rows, H = _shape(shapes, "rnn.weight_hh_l0")
    if rows % H or rows // H not in CELL_OF_GATES:
        possible = ", ".join(f"{(gates * H, H)} for {name}" for gates, name in sorted(CELL_OF_GATES.items()))
        raise ExchangeError(f"{names['rnn.weight_hh_l0']} has the shape {(rows, H)}; expected {possible}.")
    if described is not None and CELLS[described.cell].gates == rows // H:
        return H, described.cell
    return H, CELL_OF_GATES[rows // H]


def _clusters(shapes: Mapping[str, Shape], H: int, described: NetworkConfig | None) -> tuple[tuple[int, ...], float]:
    """Return cutoffs and div_value of an adaptive softmax."""
    _shape(shapes, "output.tail.0.1.weight")
    tails = 1
    while f"output.tail.{tails}.1.weight" in shapes:
        tails += 1
    edge = _shape(shapes, "output.head.weight")[0] - tails
    cutoffs, widths = [], []
    for i in range(tails):
        rows, width = shapes[f"output.tail.{i}.1.weight"]
        cutoffs.append(edge)
        widths.append(width)
        edge += rows
    likely = [] if described is None else [described.div_value]
    return tuple(cutoffs), _div_value(H, widths, [*likely, DEFAULT_DIV_VALUE])


def _div_value(H: int, widths: list[int], likely: list[float]) -> float:
    """Return d with H // d^k = w for every tail k of width w: (H / (w + 1))^(1/k) < d <= (H / w)^(1/k)."""
    low = max((H / (w + 1)) ** (1 / k) for k, w in enumerate(widths, 1))
    high = min((H / w) ** (1 / k) for k, w in enumerate(widths, 1))
    for candidate in (*likely, float(int(high)), high, (low + high) / 2):
        if candidate >= 1 and [tail_width(H, candidate, i) for i in range(len(widths))] == widths:
            return candidate
    raise ExchangeError(
        f"The tails of the adaptive softmax have the widths {widths}; expected {H} divided by d, d^2, ... and rounded "
        "down, for some d of at least 1."
    )


def _described(config: NetworkConfig, described: NetworkConfig | None, activation: str | None) -> NetworkConfig:
    """Return the configuration completed by a description; raise ExchangeError if they contradict."""
    if described is not None:
        config = replace(config, **{name: getattr(described, name) for name in OF_TRAINING})
        if config.cell != "rnn":
            config = replace(config, activation=described.activation)
        elif activation not in (None, described.activation):
            raise ExchangeError(
                f"--activation {activation} contradicts the vocabulary file, which says {described.activation}. Leave "
                "it out."
            )
        activation = described.activation
        found = asdict(config) | {"activation": activation}
        for field, said in asdict(described).items():
            if found[field] != said:
                raise ExchangeError(
                    f"The weights are of a network with {field} {found[field]}, the vocabulary file is of one with "
                    f"{said}. Give the file that was written with the weights."
                )
    if config.cell == "rnn":
        if activation is None:
            raise ExchangeError(
                "The weights are of a basic recurrent network, and nothing says which activation it has. Say "
                "--activation tanh (PyTorch's own), relu, sigmoid or identity."
            )
        config = replace(config, activation=activation)
    elif activation is not None and described is None:
        raise ExchangeError(f"--activation is for the basic cell; the weights are of the cell {config.cell}.")
    try:
        return NetworkConfig.from_header(config.to_header())
    except CheckpointError:
        raise ExchangeError(
            f"No network has the sizes that the weights have: {config.vocabulary_size} tokens, hidden size "
            f"{config.hidden_size}, {config.num_layers} layers, embedding {config.embedding_size}, cutoffs "
            f"{list(config.cutoffs)}{', tied' if config.tied else ''}."
        ) from None


def _check_shapes(config: NetworkConfig, shapes: Mapping[str, Shape], names: Mapping[str, str]) -> None:
    """Raise ExchangeError unless names and shapes are exactly those of the configuration."""
    what = f"network of the cell {config.cell}, {config.num_layers} x {config.hidden_size}"
    for name, expected in config.shapes().items():
        if name not in shapes:
            raise ExchangeError(f"Found no {name}; expected one of shape {expected}, since the others are of a {what}.")
        if shapes[name] != expected:
            raise ExchangeError(
                f"{names.get(name, name)} has the shape {shapes[name]}; expected {expected}, since the others are of a "
                f"{what}, with {config.vocabulary_size} tokens."
            )
    if extra := shapes.keys() - config.shapes().keys():
        raise ExchangeError(f"Found {_some([names.get(name, name) for name in extra])}, which a {what} does not have.")
