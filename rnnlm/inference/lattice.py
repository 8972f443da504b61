"""The best paths through a lattice of candidates, by beam search.

A lattice has nodes from 0 to `length` and arcs from a node to a later one; an arc is some tokens, or none, and a score.
A confusion network has arcs from each node to the next; pinyin whose syllables can be cut in several ways has longer
ones. The score of a path is

    total = lm_weight * ln p(tokens, end) + sum of the arcs' scores + sum of what is added for each token

What is done once: arcs that begin alike share the nodes of their first tokens, paths with the same tokens at a node are
one hypothesis, all hypotheses of all nodes that are as far from the start are read in one batch, and the model gives
only the probabilities of tokens that some arc has there. Hypotheses after which the model is in the same state, as of
an n-gram model, have the same future, so only the k best of them go on. With a beam as wide as there are paths,
nothing is left out.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from rnnlm.inference.generation import largest
from rnnlm.inference.model import Array

NUMBERS = 1 << 22  # of probabilities, made at a time
NOTHING = -1  # in the place of a symbol: an arc without tokens


class CandidateReader(Protocol):
    """A model as it is asked here.

    vocabulary_size: V. finite: whether states are rows (B, F) of whole numbers, which may be equal.
    """

    vocabulary_size: int
    finite: bool

    def read(self, tokens: Array, state: Array, wanted: Array) -> tuple[Array, Array]:
        """Log probabilities (B, C) of the wanted ids (C,) after each of the tokens (B,), and the state after them."""


class TokenArc(NamedTuple):
    """A candidate: from a node to a later one, its tokens as symbols, see `Symbols`, and its score."""

    start: int
    end: int
    symbols: tuple[int, ...]
    score: float


class Symbols(NamedTuple):
    """What the tokens of the arcs are: unknown ones have one id and differ all the same.

    ids: (S,) id of each symbol. added: (S,) what each adds to the total.
    """

    ids: Array
    added: Array


class Start(NamedTuple):
    """Where a path begins: a state with one column, and the id that is read in it first."""

    state: Array
    token: int


class Path(NamedTuple):
    """A path: its symbols, ln p of its tokens and its end, the sum of its arcs' scores, and its total."""

    symbols: list[int]
    log_probability: float
    score: float
    total: float


def best_paths(
    reader: CandidateReader,
    start: Start,
    arcs: Iterable[TokenArc],
    length: int,
    symbols: Symbols,
    end: int | None,
    *,
    k: int,
    beam: int,
    lm_weight: float = 1.0,
) -> list[Path]:
    """Return the k best paths with different tokens, the best first; fewer where there are fewer of a total above -inf.

    end: the id that is read after the last token; None for a text that goes on. beam: hypotheses that are kept at a
    node, at least k of them.
    """
    arcs = list(arcs)
    if end is not None:
        arcs.append(TokenArc(length, length + 1, (len(symbols.ids),), 0.0))
        symbols = Symbols(np.append(symbols.ids, end), np.append(symbols.added, 0.0))
        length += 1
    search = _Search(reader, _Graph(arcs, length, symbols), k, max(k, beam), lm_weight)
    found = search.run(start)
    return [path._replace(symbols=path.symbols[:-1]) if end is not None else path for path in found]


def complete(arcs: Sequence[tuple[int, int]], length: int) -> list[bool]:
    """Tell of each arc, given as start and end, whether it is on a path from 0 to `length`."""
    order = sorted(range(len(arcs)), key=lambda place: arcs[place][0])
    reached, leading = {0}, {length}
    for place in order:
        if arcs[place][0] in reached:
            reached.add(arcs[place][1])
    for place in sorted(order, key=lambda place: -arcs[place][1]):
        if arcs[place][1] in leading:
            leading.add(arcs[place][0])
    return [start in reached and end in leading for start, end in arcs]


# --- the lattice, token by token ----------------------------------------------------------------------------------


class _Edges(NamedTuple):
    """All edges from a node to another one: the symbols (E,), their ids, and what each adds to score and total."""

    symbols: Array
    ids: Array
    scores: Array
    added: Array


class _Graph:
    """The lattice with one token or none an edge, and new nodes between the tokens of an arc.

    ranks: nodes by their distance from the start in tokens, by the longest way: those of one rank are on no path
    together. edges: of each node, by the node where they end.
    """

    def __init__(self, arcs: Sequence[TokenArc], length: int, symbols: Symbols) -> None:
        self.final = length
        found: dict[int, dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        rank = {0: 0}
        between: dict[tuple[int, int], int] = {}  # node and symbol: the node after it, inside of arcs
        kept = complete([(arc.start, arc.end) for arc in arcs], length)
        for arc in sorted((arc for arc, is_kept in zip(arcs, kept, strict=True) if is_kept), key=lambda arc: arc.start):
            node = arc.start
            for symbol in arc.symbols[:-1]:
                inner = between.setdefault((node, symbol), length + 1 + len(between))
                found[node][inner][symbol] = 0.0
                rank[inner] = rank[node] + 1
                node = inner
            last = arc.symbols[-1] if arc.symbols else NOTHING
            edges = found[node][arc.end]
            edges[last] = max(arc.score, edges.get(last, -np.inf))
            rank[arc.end] = max(rank[node] + 1, rank.get(arc.end, 0))
        ids, added = np.append(symbols.ids, 0), np.append(symbols.added, 0.0)  # the last is that of NOTHING
        self.edges = {
            node: {end: _edges(edges, ids, added) for end, edges in ends.items()} for node, ends in found.items()
        }
        self.ranks: list[list[int]] = [[] for _ in range(max(rank.values()) + 1)]
        for node in sorted(rank):
            self.ranks[rank[node]].append(node)

    def wanted(self, node: int) -> Array:
        """Ids of the tokens that may come next at a node."""
        edges = self.edges.get(node, {}).values()
        return np.concatenate([np.zeros(0, np.int64), *(each.ids[each.symbols != NOTHING] for each in edges)])


def _edges(edges: dict[int, float], ids: Array, added: Array) -> _Edges:
    symbols, scores = np.array(list(edges)), np.array(list(edges.values()))
    return _Edges(symbols, ids[symbols].astype(np.int64), scores, scores + added[symbols])


# --- the search ---------------------------------------------------------------------------------------------------


class _Beam(NamedTuple):
    """The hypotheses at a node: what each is worth, (B,), and what is to be read for it: a token in a state.

    histories: a number for each sequence of symbols.
    """

    totals: Array
    log_probabilities: Array
    scores: Array
    histories: Array
    tokens: Array
    state: Array

    def take(self, rows: Array) -> "_Beam":
        """Some of the hypotheses."""
        totals, log_probabilities, scores, histories, tokens = (each[rows] for each in self[:5])
        state = np.take(self.state, rows, axis=-2)
        return _Beam(totals, log_probabilities, scores, histories, tokens, state)


class _Arrivals(NamedTuple):
    """Hypotheses on their way to a node, not chosen yet: those of a beam, (n,) by their rows, each with a symbol.

    after: the state after the beam's tokens were read; None if nothing was read there.
    """

    beam: _Beam
    after: Array | None
    rows: Array
    symbols: Array
    ids: Array
    totals: Array
    log_probabilities: Array
    scores: Array


class _Search:
    """A search through one lattice."""

    def __init__(self, reader: CandidateReader, graph: _Graph, k: int, beam: int, lm_weight: float) -> None:
        self._reader, self._graph, self._k, self._beam, self._lm_weight = reader, graph, k, beam, lm_weight
        self._numbers: dict[tuple[int, int], int] = {}  # history and symbol: the history with it
        self._histories: list[tuple[int, int]] = [(0, NOTHING)]
        self._arrivals: dict[int, list[_Arrivals]] = defaultdict(list)

    def run(self, start: Start) -> list[Path]:
        """Search; the paths found, the best first."""
        zero = np.zeros(1)
        first = _Beam(zero, zero, zero, np.zeros(1, np.int64), np.array([start.token]), start.state)
        for nodes in self._graph.ranks:
            beams = {node: self._chosen(self._arrivals.pop(node, [])) if node else first for node in nodes}
            if self._graph.final in beams:
                return self._paths(beams[self._graph.final])
            self._expand({node: beam for node, beam in beams.items() if beam is not None})
        return []

    def _chosen(self, arrivals: list[_Arrivals]) -> _Beam | None:
        """The best hypotheses at a node, each sequence of symbols once."""
        if not arrivals:
            return None
        totals = np.concatenate([each.totals for each in arrivals])
        parents = np.concatenate([each.beam.histories[each.rows] for each in arrivals]).tolist()
        symbols = np.concatenate([each.symbols for each in arrivals]).tolist()
        chosen: dict[int, int] = {}  # history: its best place
        for place in np.argsort(-totals, kind="stable").tolist():
            chosen.setdefault(self._history(parents[place], symbols[place]), place)
            if len(chosen) == self._beam:
                break
        histories, places = np.array(list(chosen)), np.array(list(chosen.values()))
        order = np.argsort(places)
        histories, places = histories[order], places[order]
        parts, begin = [], 0
        for each in arrivals:
            edge = begin + len(each.totals)
            here = (places >= begin) & (places < edge)
            parts += _ready(each, places[here] - begin, histories[here])
            begin = edge
        totals, log_probabilities, scores, all_histories, tokens = (
            np.concatenate([part[column] for part in parts]) for column in range(5)
        )
        state = np.concatenate([part.state for part in parts], axis=-2)
        return _Beam(totals, log_probabilities, scores, all_histories, tokens, state)

    def _history(self, history: int, symbol: int) -> int:
        if symbol == NOTHING:
            return history
        number = self._numbers.setdefault((history, symbol), len(self._histories))
        if number == len(self._histories):
            self._histories.append((history, symbol))
        return number

    def _expand(self, beams: dict[int, _Beam]) -> None:
        """Read the tokens of all hypotheses of some nodes in one batch, and send them on along the nodes' edges."""
        wanted = {node: self._graph.wanted(node) for node in beams}
        reading = [node for node in beams if len(wanted[node])]
        ids = np.unique(np.concatenate([np.zeros(0, np.int64), *wanted.values()]))
        rows, after = self._read([beams[node] for node in reading], ids)
        begin = 0
        for node, beam in beams.items():
            if node not in reading:
                self._send(node, beam, None, np.zeros((len(beam.totals), 0)), ids)
                continue
            own = slice(begin, begin + len(beam.totals))
            begin = own.stop
            state, found = after[..., own, :], rows[own]
            if self._reader.finite:
                kept = self._recombined(beam, state)
                beam, state, found = beam.take(kept), state[kept], found[kept]
            self._send(node, beam, state, found, ids)

    def _read(self, beams: list[_Beam], ids: Array) -> tuple[Array, Array]:
        """Log probabilities (B, C) of the ids after all hypotheses of some beams, and the states after them."""
        if not beams:
            return np.zeros((0, 0)), np.zeros((0, 0))
        tokens = np.concatenate([beam.tokens for beam in beams])
        state = np.concatenate([beam.state for beam in beams], axis=-2)
        size = max(1, NUMBERS // self._reader.vocabulary_size)
        blocks = [np.arange(begin, min(begin + size, len(tokens))) for begin in range(0, len(tokens), size)]
        parts = [self._reader.read(tokens[block], np.take(state, block, axis=-2), ids) for block in blocks]
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([after for _, after in parts], axis=-2)

    def _recombined(self, beam: _Beam, after: Array) -> Array:
        """Places of the hypotheses of which no k better ones have left the model in the same state."""
        met: dict[bytes, int] = defaultdict(int)
        kept = []
        for place in np.argsort(-beam.totals, kind="stable").tolist():
            key = after[place].tobytes()
            met[key] += 1
            if met[key] <= self._k:
                kept.append(place)
        return np.sort(np.array(kept))

    def _send(self, node: int, beam: _Beam, after: Array | None, rows: Array, ids: Array) -> None:
        """Send a beam along the edges of a node; rows (B, C): log probabilities of the ids (C,)."""
        for end, edges in self._graph.edges.get(node, {}).items():
            reads = edges.symbols != NOTHING
            log_probabilities = np.zeros((len(beam.totals), len(edges.symbols)))
            log_probabilities[:, reads] = rows[:, np.searchsorted(ids, edges.ids[reads])]
            totals = beam.totals[:, None] + edges.added + self._lm_weight * log_probabilities
            parents, taken = np.divmod(largest(totals, self._beam), len(edges.symbols))
            if not len(parents):  # all of probability 0
                continue
            self._arrivals[end].append(
                _Arrivals(
                    beam,
                    after,
                    parents,
                    edges.symbols[taken],
                    edges.ids[taken],
                    totals[parents, taken],
                    beam.log_probabilities[parents] + log_probabilities[parents, taken],
                    beam.scores[parents] + edges.scores[taken],
                )
            )

    def _paths(self, beam: _Beam | None) -> list[Path]:
        """The k best of the hypotheses at the last node."""
        if beam is None:
            return []
        columns = (beam.log_probabilities, beam.scores, beam.totals)
        return [
            Path(self._symbols(int(beam.histories[place])), *(float(column[place]) for column in columns))
            for place in np.argsort(-beam.totals, kind="stable")[: self._k]
        ]

    def _symbols(self, history: int) -> list[int]:
        found = []
        while history:
            history, symbol = self._histories[history]
            found.append(symbol)
        return found[::-1]


def _ready(arrivals: _Arrivals, places: Array, histories: Array) -> list[_Beam]:
    """Some hypotheses that have come to a node: those with a token to read, and those that came by no token.

    The latter read their last token here once more, because other tokens may come next here.
    """
    found = []
    came_by_nothing = arrivals.symbols[places] == NOTHING
    for chosen, state in ((~came_by_nothing, arrivals.after), (came_by_nothing, arrivals.beam.state)):
        own = places[chosen]
        if not len(own) or state is None:
            continue
        rows = arrivals.rows[own]
        tokens = arrivals.beam.tokens[rows] if state is arrivals.beam.state else arrivals.ids[own]
        worth = (arrivals.totals[own], arrivals.log_probabilities[own], arrivals.scores[own])
        found.append(_Beam(*worth, histories[chosen], tokens, np.take(state, rows, axis=-2)))
    return found
