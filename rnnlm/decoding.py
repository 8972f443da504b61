"""A language model as a decoder: the best text among candidates, from pinyin, or in place of what was written."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

from rnnlm.blas import one_blas_thread
from rnnlm.errors import LatticeError, RnnlmError, shown
from rnnlm.inference.model import read_prefix
from rnnlm.results import DecodedText
from rnnlm.stored_model import StoredModel
from rnnlm.text.vocabulary import UNK

if TYPE_CHECKING:  # each method imports what it needs: other commands start sooner without it
    from rnnlm.inference.lattice import Path, Start, TokenArc
    from rnnlm.lattices import Lattice, Position
    from rnnlm.text.confusions import Confusions, Spellings
    from rnnlm.text.pinyin import Homophones, Readings

TRIES = 4  # of a search that finds several paths to one text, in other words; each time for twice as many
BEAM = 16  # twice as many find no more, see benchmarks/RESULTS.md
REPLACEMENT_PENALTY = 6.0  # nats; the best of eight models were 4 to 10, see benchmarks/RESULTS.md


class DecodingModel(StoredModel):
    """A model that chooses among candidates; see `inference.lattice` for the search."""

    @one_blas_thread()
    def decode(
        self,
        candidates: Lattice | Iterable[Position],
        k: int = 1,
        *,
        beam: int = BEAM,
        lm_weight: float = 1.0,
        word_penalty: float = 0.0,
        oov_penalty: float | None = None,
        before: str = "",
        ended: bool = True,
        like: str = "",
    ) -> list[DecodedText]:
        """Return the k best texts that can be made of candidates, the best first; fewer where there are fewer.

        total_nats = lm_weight * logprob_nats + score + word_penalty * tokens + oov_penalty * unknown tokens

        Args:
            candidates: For each position some texts, with or without scores, or a `Lattice`. A candidate may be several
                tokens, or none, "".
            k: Texts to return.
            beam: Hypotheses that are kept at a place.
            lm_weight: Of the log probability, beside the scores.
            word_penalty: Added for every token.
            oov_penalty: Added for every unknown token; `unknown_word_penalty` if it is not given.
            before: The text that the answers go on from.
            ended: Whether the line ends with the last candidate; else it may go on.
            like: A text; if its words are separated by spaces, so are those of the answers.

        Raises:
            LatticeError: candidates are malformed, or no path through them has a probability above 0; or the model's
                tokens are pieces of words.
            DirectionError: the model is bidirectional.
        """
        from rnnlm.candidate_reader import CandidateReader
        from rnnlm.inference.lattice import Symbols, best_paths
        from rnnlm.lattices import Lattice

        numbers = {"lm_weight": lm_weight, "word_penalty": word_penalty, "oov_penalty": oov_penalty or 0.0}
        _check({"k": k, "beam": beam}, numbers)
        lattice = candidates if isinstance(candidates, Lattice) else Lattice.of(candidates)
        reader, start = CandidateReader(self.require_causal()), self._start_after(before)
        arcs, tokens = self._token_arcs(lattice)
        ids = self.vocabulary.encode(list(tokens))
        symbols = Symbols(ids, word_penalty + (self._oov_penalty(oov_penalty) * (ids == UNK)))
        end = self.line_end if ended else None
        texts: dict[str, DecodedText] = {}
        for wanted in [1] if k == 1 else [max(k, beam) << times for times in range(TRIES)]:
            paths = best_paths(
                reader, start, arcs, lattice.length, symbols, end, k=wanted, beam=beam, lm_weight=lm_weight
            )
            for path in paths:
                found = self._decoded(path, tokens, like)
                texts.setdefault(found.text, found)
            if len(texts) >= k or len(paths) < wanted:
                break
        if not texts:
            raise LatticeError("No text that can be made of the candidates has a probability above 0.")
        return list(texts.values())[:k]

    def from_pinyin(self, text: str, k: int = 1, **settings: Any) -> list[DecodedText]:
        """Return the k best texts that a line of pinyin may say, with syllables separated or not, with tones or not.

        The candidates are the words of the vocabulary that are read so; what is no pinyin stays as it is. A score is
        the log probability of the readings. settings: those of `decode`.

        Raises:
            TokenizerError: pypinyin is not installed.
        """
        from rnnlm.lattices import pinyin_lattice

        return self.decode(pinyin_lattice(self._readings, text), k, **settings)

    def correct(
        self,
        text: str,
        k: int = 1,
        *,
        confusions: Confusions | str | PathLike[str] | None = None,
        homophones: bool = False,
        replacement_penalty: float = REPLACEMENT_PENALTY,
        **settings: Any,
    ) -> list[DecodedText]:
        """Return the k best texts that a line may have meant, the line itself perhaps among them.

        Args:
            text: The line.
            k: Texts to return.
            confusions: Characters and those that each may stand for, or a file of them, see `read_confusions`.
            homophones: Whether characters may stand for all that are read alike, whatever the tone.
            replacement_penalty: What each character that is replaced costs, in nats.
            **settings: Those of `decode`.

        Raises:
            CorpusError: the file of confusions cannot be read.
            TokenizerError: pypinyin is not installed.
            LatticeError: the text has several lines.
        """
        from rnnlm.lattices import correction_lattice
        from rnnlm.text.confusions import joined, read_confusions

        if confusions is None and not homophones:
            raise RnnlmError("Nothing may be replaced: expected confusions, homophones=True, or both.")
        if not 0 <= replacement_penalty < math.inf:
            raise RnnlmError(f"replacement_penalty is {shown(replacement_penalty)}; expected a number from 0 on.")
        tables = [self._homophones.of(text)] if homophones else []
        if confusions is not None:
            tables.append(read_confusions(confusions) if isinstance(confusions, str | PathLike) else dict(confusions))
        lattice = correction_lattice(self, self._spellings, text, joined(tables), replacement_penalty)
        return self.decode(lattice, k, **{"like": text} | settings)

    @functools.cached_property
    def _readings(self) -> Readings:
        from rnnlm.text.pinyin import Readings

        return Readings(self.vocabulary.tokens)

    @functools.cached_property
    def _spellings(self) -> Spellings:
        from rnnlm.text.confusions import Spellings

        return Spellings(self.vocabulary.tokens)

    @functools.cached_property
    def _homophones(self) -> Homophones:
        from rnnlm.text.pinyin import Homophones

        return Homophones(dict.fromkeys(itertools.chain.from_iterable(self.vocabulary.tokens)))

    def _oov_penalty(self, given: float | None) -> float:
        return self.unknown_word_penalty if given is None else given

    def _start_after(self, before: str) -> Start:
        """The state in which the last id before the candidates is to be read."""
        from rnnlm.inference.lattice import Start

        by_line = self.after_line(self.require_causal())
        ids = self.prefix(self.encode(self.unfinished(before)))
        state = read_prefix(by_line, ids[:-1])[1] if len(ids) > 1 else by_line.zero_state(1)
        return Start(state, int(ids[-1]))

    def _token_arcs(self, lattice: Lattice) -> tuple[list[TokenArc], list[str]]:
        """The lattice's arcs by their tokens, which are numbered, and these."""
        if self.tokenizer.cuts_words:
            raise LatticeError(
                "The tokens of this model are pieces of words, which depend on what stands beside them. Expected a "
                "model of words, characters or tokens; whole texts are ranked by rescore."
            )
        from rnnlm.inference.lattice import TokenArc

        numbers: dict[str, int] = {}
        texts = list(dict.fromkeys(arc.text for arc in lattice.arcs))
        unknown = (self.vocabulary.encode(texts) == UNK).tolist()
        symbols = {
            text: tuple(
                numbers.setdefault(token, len(numbers)) for token in (self.tokens(text) if is_unknown else [text])
            )
            for text, is_unknown in zip(texts, unknown, strict=True)
        }
        return [TokenArc(arc.start, arc.end, symbols[arc.text], arc.score) for arc in lattice.arcs], list(numbers)

    def _decoded(self, path: Path, tokens: list[str], like: str) -> DecodedText:
        found = [tokens[symbol] for symbol in path.symbols]
        text = "".join(map(self.tokenizer.spacing(like).add, found))
        return DecodedText(text, found, path.log_probability, path.score, path.total)


def _check(counts: dict[str, Any], numbers: dict[str, float]) -> None:
    for name, number in counts.items():
        if not isinstance(number, int) or number < 1:
            raise RnnlmError(f"{name} is {shown(number)}; expected a whole number from 1 on.")
    for name, weight in numbers.items():
        if not abs(weight) < math.inf:
            raise RnnlmError(f"{name} is {shown(weight)}; expected a number.")
