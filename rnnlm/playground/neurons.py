"""Activations of hidden units over a text, and the units that correlate with a property of the text.

To find units, the network reads a text; at every token t, the activation h(t) of each unit and the value x(t) of each
property are recorded, and the Pearson correlation of each pair is computed. For every property, the units with the
largest |r| are returned. The largest of H correlations over T tokens is about sqrt(2 ln(H) / T) by chance alone, so
units that are not well above that are left out. A short text is extended by one that the model generates. Karpathy,
Johnson and Li (2015) found such units (quotes, line position, brackets) by eye.
"""

import base64
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rnnlm.inference.generation import SamplingOptions, sample
from rnnlm.inference.model import Array
from rnnlm.nn.layers import recurrent
from rnnlm.nn.network import Network
from rnnlm.playground.refusals import RequestError
from rnnlm.playground.served import ServedModel, Work
from rnnlm.results import Piece
from rnnlm.text.reading import restart
from rnnlm.text.vocabulary import BOS, EOS

ENOUGH = 1200  # tokens in which units are searched; a shorter text is extended to this length
WINDOW = 128  # tokens that are read at a time
UNITS_EACH, MOST_FOUND = 3, 40
RAREST = 5  # fewest tokens that differ from the most frequent value of a property
ABOVE_CHANCE = 1.5
MOST_NUMBERS = 3 << 20  # activations in one answer, of one byte each
BOUNDED = ("tanh", "sigmoid")  # activations of the basic cell that stay within -1 to 1
QUOTES = {"“": "”", "‘": "’", "「": "」", "『": "』", "«": "»", '"': '"'}
BRACKETS = {"(": ")", "[": "]", "{": "}", "（": "）", "【": "】", "《": "》", "〈": "〉"}
VOWELS = frozenset("aeiouyäöüéèêàáíóúAEIOUY")


# --- activations --------------------------------------------------------------------------------------------------


def activations(served: ServedModel, ids: Array) -> Work[Array]:
    """Compute the activations (n, L, U) after each of n ids, window by window; of a bidirectional network, at once.

    U is H, or 2H for a bidirectional network: the forward units, then the backward ones. The end of a sentence, which
    is not an input of the network, has zeros.
    """
    network = served.model.network
    context = "sentence" if served.bidirectional else served.model.context
    inputs = np.concatenate([[served.model.start], ids])
    ends = (inputs == EOS) & (context == "sentence")
    keep = restart(inputs[:, None], context)
    if served.bidirectional:
        yield
        return _both_directions(network, inputs, ends)[1:]
    state, windows = served.model.after_line(network).zero_state(1), []
    for start in range(0, len(inputs), WINDOW):
        part = slice(start, start + WINDOW)
        outputs, state = layer_outputs(network, inputs[part, None], state, None if keep is None else keep[part])
        outputs[:, ends[part]] = 0
        windows.append(outputs[:, :, 0].transpose(1, 0, 2))
        yield
    return np.concatenate(windows)[1:]  # without the activations after the start symbol


def _both_directions(network: Network, inputs: Array, ends: Array) -> Array:
    """Compute forward and backward activations (n, L, 2H) of sentences; `ends` marks where a new one begins."""
    found = np.zeros((len(inputs), network.config.num_layers, 2 * network.config.hidden_size), dtype=np.float32)
    edges = [*np.flatnonzero(ends).tolist(), len(inputs)]
    start = 0
    for edge in edges:
        line = inputs[start + 1 : edge]
        for direction, ids, half in (("", np.array([BOS, *line]), 0), ("_reverse", np.array([EOS, *line[::-1]]), 1)):
            outputs, _ = layer_outputs(network, ids[:, None], network.zero_state(1), None, direction)
            H = network.config.hidden_size
            own = outputs[:, 1:, 0].transpose(1, 0, 2)  # without the output after <s> or </s>
            found[start + 1 : edge, :, half * H : half * H + H] = own[::-1] if half else own
        start = edge
    return found


def layer_outputs(
    network: Network, inputs: Array, state: Array, keep: Array | None, direction: str = ""
) -> tuple[Array, Array]:
    """Return the outputs of every layer (L, T, B, H) for inputs (T, B), and the final state."""
    config, params = network.config, network.params
    x: Array = params["embedding.weight"][inputs] if config.embedding_size else inputs
    final, outputs = np.empty_like(state), []
    keep = None if keep is None else keep.astype(state.dtype)
    with np.errstate(over="ignore"):
        for layer in range(config.num_layers):
            x, final[:, layer], _ = recurrent(
                params, f"l{layer}{direction}", config.cell, config.activation, x, state[:, layer], keep
            )
            outputs.append(x)
    return np.stack(outputs), final


# --- properties ---------------------------------------------------------------------------------------------------


def _inside(texts: list[str], pairs: dict[str, str]) -> Array:
    """Return 1 for tokens between an opening mark and its closing mark, inclusive, else 0; a blank line closes all."""
    found, open_marks, newlines = np.zeros(len(texts)), list[str](), 0
    for place, text in enumerate(texts):
        was_open = bool(open_marks)
        for character in text:
            newlines = newlines + 1 if character == "\n" else 0
            if newlines == 2:
                open_marks.clear()
            elif open_marks and character == open_marks[-1]:
                open_marks.pop()
            elif character in pairs:
                open_marks.append(pairs[character])
        found[place] = was_open or bool(open_marks)
    return found


def _since(texts: list[str], restarts: Callable[[str], bool]) -> Array:
    """Return the number of tokens since the last one that restarts the count."""
    found, count = np.zeros(len(texts)), 0
    for place, text in enumerate(texts):
        count = 0 if restarts(text) else count + 1
        found[place] = count
    return found


def _is(texts: list[str], test: Callable[[str], bool]) -> Array:
    return np.array([float(test(text)) for text in texts])


def _before(values: Array) -> Array:
    """Return the value at the previous token; 0 at the first."""
    return np.concatenate([[0.0], values[:-1]])


def properties(pieces: list[Piece]) -> dict[str, Array]:
    """Return the properties that vary in a text, each with its value at every token (n,): 1 or 0, or a number."""
    raw = [piece.text for piece in pieces]  # with the space before a word
    bare = [text.strip(" \t\u3000") or text for text in raw]
    spaces = _is(raw, lambda text: text.isspace() and "\n" not in text)
    lines = _is(raw, lambda text: text.endswith("\n"))
    found = {
        "inside_quotes": _inside(raw, QUOTES),
        "inside_brackets": _inside(raw, BRACKETS),
        "line_position": _since(raw, lambda text: "\n" in text),
        "line_end": lines,
        "word_position": _since(bare, lambda text: not text.isalnum()) if spaces.any() else np.zeros(len(raw)),
        "after_space": _before(spaces),
        "capital": _is(bare, lambda text: text[:1].isupper()),
        "digit": _is(bare, lambda text: any(map(str.isdigit, text))),
        "punctuation": _is(bare, lambda text: not text.isspace() and not any(map(str.isalnum, text))),
        "vowel": _is(bare, lambda text: len(text) == 1 and text in VOWELS),
        "han": _is(bare, lambda text: "\u4e00" <= text[:1] <= "\u9fff"),
        "token_length": np.array([float(len(text)) for text in bare]),
    }
    return {name: values for name, values in found.items() if _varies(values)}


def _varies(values: Array) -> bool:
    _, counts = np.unique(values, return_counts=True)
    return len(counts) > 1 and len(values) - counts.max() >= RAREST


# --- answers ------------------------------------------------------------------------------------------------------


def _longer(served: ServedModel, text: str) -> Work[list[Piece]]:
    """Return the text's pieces, preceded by a generated text, always the same, if they are few."""
    pieces = list(served.model.cut(text))
    missing = ENOUGH - len(pieces)
    if missing <= 0 or served.bidirectional:
        return pieces
    model, ids, rng = served.model, list[int](), np.random.default_rng(0)
    while len(ids) < missing:
        options = SamplingOptions(missing - len(ids), temperature=0.8)
        for drawn in sample(model.by_line, [model.start], options, rng, 1, model.never_generated(), model.end):
            ids += [each for each in drawn if each is not None]
            yield
        if model.end is None:
            break
    return [*model.cut(model.render(ids)), *pieces]


def find(served: ServedModel, text: str) -> Work[dict[str, Any]]:
    """Find the units that correlate best with a property of the text, best first."""
    network = served.model.network
    config = network.config
    units = config.hidden_size * len(config.directions)
    pieces = yield from _longer(served, text)
    answer: dict[str, Any] = {"layers": config.num_layers, "units": units, "found": []}
    if len(pieces) < 2 * RAREST:
        return answer
    ids = np.array([piece.token_id for piece in pieces], dtype=np.int32)
    hidden = (yield from activations(served, ids)).reshape(len(ids), -1)
    for name, values in properties(pieces).items():
        correlations = correlation(hidden, values)
        best = np.argsort(-np.abs(correlations), kind="stable")[:UNITS_EACH]
        least = ABOVE_CHANCE * math.sqrt(2 * math.log(hidden.shape[1] + 1) / len(ids))
        answer["found"] += [
            {"layer": int(i) // units, "unit": int(i) % units, "property": name, "correlation": float(correlations[i])}
            for i in best
            if abs(correlations[i]) >= least
        ]
        yield
    answer["found"].sort(key=lambda each: -abs(each["correlation"]))
    del answer["found"][MOST_FOUND:]
    return answer


def correlation(hidden: Array, values: Array) -> Array:
    """Return Pearson's r of each column of hidden (T, N) with values (T,); 0 for a constant column."""
    h = hidden - hidden.mean(axis=0, dtype=np.float64)
    x = values - values.mean()
    size = np.sqrt((h * h).sum(axis=0) * (x * x).sum())
    return np.clip(np.divide(x @ h, size, out=np.zeros(h.shape[1]), where=size > 1e-9), -1, 1)


def show(served: ServedModel, text: str, layer: int, unit: int) -> Work[dict[str, Any]]:
    """Return a unit's activation after each token, from -1 to 1; unbounded units are scaled by their largest value.

    Raises:
        RequestError: There is no such layer or unit.
    """
    config = served.model.network.config
    units = config.hidden_size * len(config.directions)
    if layer >= config.num_layers or unit >= units:
        raise RequestError(
            f"There is no unit {unit} in layer {layer}: {served.name} has {config.num_layers} "
            f"layer{'s' * (config.num_layers != 1)} of {units} unit{'s' * (units != 1)}, counted from 0.",
            code="no_unit",
            layers=config.num_layers,
            units=units,
        )
    pieces = list(served.model.cut(text))
    ids = np.array([piece.token_id for piece in pieces], dtype=np.int32)
    values = (yield from activations(served, ids))[:, layer, unit].astype(np.float64)
    shown = np.clip(values / _unbounded(served, values), -1, 1).tolist()
    return {"tokens": [{"text": piece.text, "activation": each} for piece, each in zip(pieces, shown, strict=True)]}


def _unbounded(served: ServedModel, values: Array) -> float:
    """Return the divisor of activations: the largest absolute value, at least 1, if they are unbounded; else 1."""
    config = served.model.network.config
    if config.cell == "rnn" and config.activation not in BOUNDED:
        return max(1.0, float(np.abs(values).max(initial=0)))
    return 1.0


def show_all(served: ServedModel, text: str) -> Work[dict[str, Any]]:
    """Return activations (tokens, layers, units) as base64 of signed bytes, where -127 to 127 stand for -1 to 1.

    If a text has more than MOST_NUMBERS activations, only its beginning is returned; `of` is the number of all tokens.
    """
    config = served.model.network.config
    units = config.hidden_size * len(config.directions)
    pieces = list(served.model.cut(text))
    shown = pieces[: max(1, MOST_NUMBERS // (config.num_layers * units))]
    ids = np.array([piece.token_id for piece in shown], dtype=np.int32)
    values = yield from activations(served, ids)
    small = np.rint(127 * np.clip(values / _unbounded(served, values), -1, 1)).astype(np.int8)
    yield
    return {
        "tokens": [piece.text for piece in shown],
        "of": len(pieces),
        "layers": config.num_layers,
        "units": units,
        "activations": base64.b64encode(small.tobytes()).decode("ascii"),
    }
