"""Find the best paths through a lattice of candidates, by beam search.

A lattice has nodes from 0 to `length`, and arcs from a node to a later one. An arc has a score and zero or more tokens.
In a confusion network, all arcs lead to the next node. Pinyin that can be split into syllables in several ways has
longer arcs. The score of a path is

    total = lm_weight * ln p(tokens, end) + sum of arc scores + sum of `Symbols.added` over the tokens

To avoid repeated work, arcs from a node share the nodes of their common first tokens, and paths with the same tokens at
a node are one hypothesis. All hypotheses of the nodes at the same distance from the start are read in one batch, and
only the probabilities of tokens on some arc are requested. Hypotheses with the same model state, as of an n-gram model,
have the same future, so only the k best of them are continued. With a beam as wide as there are paths, the search is
exhaustive.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from rnnlm.inference.generation import largest
from rnnlm.inference.model import Array

NUMBERS = 1 << 22  # most probabilities to compute at a time
NOTHING = -1  # the symbol of an edge without token


class CandidateReader(Protocol):
    """Interface of a model that reads candidates.

    vocabulary_size: V. finite: whether states are rows (B, F) of integers, so that equal states can be recognised.
    """

    vocabulary_size: int
    finite: bool

    def read(self, tokens: Array, state: Array, wanted: Array) -> tuple[Array, Array]:
        """Read tokens (B,); return log probabilities (B, C) of the wanted ids (C,) after each, and the new state."""


class TokenArc(NamedTuple):
    """A candidate: its start and end node, its tokens as indices into `Symbols`, and its score."""

    start: int
    end: int
    symbols: tuple[int, ...]
    score: float


class Symbols(NamedTuple):
    """The distinct tokens of the arcs. Different unknown words are different symbols with the same id.

    ids: (S,) id of each symbol. added: (S,) what each symbol adds to the total of a path.
    """

    ids: Array
    added: Array


class Start(NamedTuple):
    """The beginning of all paths: a state with one column, and the id that is read first."""

    state: Array
    token: int


class Path(NamedTuple):
    """A path: its symbols, ln p of its tokens and its end, the sum of its arc scores, and its total."""

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
    """Return up to k best paths with different tokens and finite totals, best first.

    end: id that ends the text, whose probability is part of the total; None if the text goes on. beam: number of
    hypotheses kept at a node, raised to k if smaller.
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
    """Return, for each arc (start, end), whether it is on a path from node 0 to node `length`."""
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
    """All edges between two nodes: symbols (E,), their ids, and what each adds to score and total of a path."""

    symbols: Array
    ids: Array
    scores: Array
    added: Array


class _Graph:
    """The lattice with at most one token per edge, and with inner nodes between the tokens of an arc.

    ranks: nodes by their longest distance from the start in edges; no path contains two nodes of the same rank. edges:
    outgoing edges of each node, by the node where they end.
    """

    def __init__(self, arcs: Sequence[TokenArc], length: int, symbols: Symbols) -> None:
        self.final = length
        found: dict[int, dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        rank = {0: 0}
        between: dict[tuple[int, int], int] = {}  # (node, symbol) -> next node, within arcs
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
        ids, added = np.append(symbols.ids, 0), np.append(symbols.added, 0.0)  # index -1, for NOTHING
        self.edges = {
            node: {end: _edges(edges, ids, added) for end, edges in ends.items()} for node, ends in found.items()
        }
        self.ranks: list[list[int]] = [[] for _ in range(max(rank.values()) + 1)]
        for node in sorted(rank):
            self.ranks[rank[node]].append(node)

    def wanted(self, node: int) -> Array:
        """Return the ids of the tokens on the outgoing edges of a node."""
        edges = self.edges.get(node, {}).values()
        return np.concatenate([np.zeros(0, np.int64), *(each.ids[each.symbols != NOTHING] for each in edges)])


def _edges(edges: dict[int, float], ids: Array, added: Array) -> _Edges:
    symbols, scores = np.array(list(edges)), np.array(list(edges.values()))
    return _Edges(symbols, ids[symbols].astype(np.int64), scores, scores + added[symbols])


# --- the search ---------------------------------------------------------------------------------------------------


class _Beam(NamedTuple):
    """The hypotheses at a node: scores (B,), and for each the token to read next and the state to read it in.

    histories: number of the sequence of symbols of each hypothesis.
    """

    totals: Array
    log_probabilities: Array
    scores: Array
    histories: Array
    tokens: Array
    state: Array

    def take(self, rows: Array) -> "_Beam":
        """Select hypotheses."""
        totals, log_probabilities, scores, histories, tokens = (each[rows] for each in self[:5])
        state = np.take(self.state, rows, axis=-2)
        return _Beam(totals, log_probabilities, scores, histories, tokens, state)


class _Arrivals(NamedTuple):
    """Extensions of a beam's hypotheses by an edge to a node, before the best are chosen; arrays are (n,).

    rows: the hypothesis in the beam that is extended. symbols, ids: the token of the edge. after: the state after the
    beam's tokens were read, or None if they were not.
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
        self._numbers: dict[tuple[int, int], int] = {}  # (history, symbol) -> extended history
        self._histories: list[tuple[int, int]] = [(0, NOTHING)]
        self._arrivals: dict[int, list[_Arrivals]] = defaultdict(list)

    def run(self, start: Start) -> list[Path]:
        """Search; return the paths found, best first."""
        zero = np.zeros(1)
        first = _Beam(zero, zero, zero, np.zeros(1, np.int64), np.array([start.token]), start.state)
        for nodes in self._graph.ranks:
            beams = {node: self._chosen(self._arrivals.pop(node, [])) if node else first for node in nodes}
            if self._graph.final in beams:
                return self._paths(beams[self._graph.final])
            self._expand({node: beam for node, beam in beams.items() if beam is not None})
        return []

    def _chosen(self, arrivals: list[_Arrivals]) -> _Beam | None:
        """Return the best hypotheses at a node, one for each sequence of symbols; None if there are none."""
        if not arrivals:
            return None
        totals = np.concatenate([each.totals for each in arrivals])
        parents = np.concatenate([each.beam.histories[each.rows] for each in arrivals]).tolist()
        symbols = np.concatenate([each.symbols for each in arrivals]).tolist()
        chosen: dict[int, int] = {}  # history -> index of its best arrival
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
        """Read the tokens of all hypotheses of some nodes in one batch, and extend them by the nodes' edges."""
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
        """Read some beams; return log probabilities (B, C) of the ids (C,) after each hypothesis, and new states."""
        if not beams:
            return np.zeros((0, 0)), np.zeros((0, 0))
        tokens = np.concatenate([beam.tokens for beam in beams])
        state = np.concatenate([beam.state for beam in beams], axis=-2)
        size = max(1, NUMBERS // self._reader.vocabulary_size)
        blocks = [np.arange(begin, min(begin + size, len(tokens))) for begin in range(0, len(tokens), size)]
        parts = [self._reader.read(tokens[block], np.take(state, block, axis=-2), ids) for block in blocks]
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([after for _, after in parts], axis=-2)

    def _recombined(self, beam: _Beam, after: Array) -> Array:
        """Return the indices of the k best hypotheses for each distinct state `after` them, in ascending order."""
        met: dict[bytes, int] = defaultdict(int)
        kept = []
        for place in np.argsort(-beam.totals, kind="stable").tolist():
            key = after[place].tobytes()
            met[key] += 1
            if met[key] <= self._k:
                kept.append(place)
        return np.sort(np.array(kept))

    def _send(self, node: int, beam: _Beam, after: Array | None, rows: Array, ids: Array) -> None:
        """Extend a beam by the edges of a node; rows (B, C): log probabilities of the ids (C,)."""
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
        """Return the paths of the k best hypotheses at the last node."""
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
    """Turn chosen arrivals into beams: those that arrived by a token, and those that arrived by an edge without token.

    The latter keep the token and state of their beam: their last token is read again, to predict other tokens.
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
