"""Decoding with a language model: the best text of a lattice of candidates, from pinyin, or as a correction."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

from rnnlm.blas import one_blas_thread
from rnnlm.completion import check_counts
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

TRIES = 4  # attempts to find k different texts; each attempt asks for twice as many paths
BEAM = 16  # a beam of 32 finds no better texts, see benchmarks/RESULTS.md
REPLACEMENT_PENALTY = 6.0  # nats; the best value of each of eight models was 4 to 10, see benchmarks/RESULTS.md


class DecodingModel(StoredModel):
    """A model that decodes candidates, pinyin and corrections; see `inference.lattice` for the search."""

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
        """Return the k best texts that can be formed from candidates, best first, or fewer if there are fewer.

        total_nats = lm_weight * logprob_nats + score + word_penalty * tokens + oov_penalty * unknown tokens

        Args:
            candidates: A list of texts for each position, with or without scores, or a `Lattice`. A candidate may have
                several tokens, or none ("").
            k: Number of texts to return.
            beam: Number of hypotheses to keep at each position.
            lm_weight: Weight of the log probability of the model.
            word_penalty: Added for every token.
            oov_penalty: Added for every unknown token; `unknown_word_penalty` if not given.
            before: The text that the results continue.
            ended: Whether the line ends after the last candidate; otherwise it may continue.
            like: If the words of this text are separated by spaces, so are those of the results.

        Raises:
            LatticeError: the candidates are malformed, no path through them has a probability above 0, or the tokens of
                the model are pieces of words.
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
        """Return the k best texts for a line of pinyin, with or without spaces between syllables, and tones.

        The candidates are the words of the vocabulary with this reading; other text is left unchanged. Their scores are
        the log probabilities of the readings. settings: keyword arguments of `decode`.

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
        """Return the k best corrections of a line, which may include the line itself.

        Args:
            text: The line.
            k: Number of texts to return.
            confusions: A mapping from characters to their possible replacements, or a file, see `read_confusions`.
            homophones: Whether characters may be replaced by all that are read alike, whatever the tone.
            replacement_penalty: Cost of each replaced character, in nats.
            **settings: Keyword arguments of `decode`.

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
        """Return the state before the last id of the context, and this id."""
        from rnnlm.inference.lattice import Start

        by_line = self.after_line(self.require_causal())
        ids = self.prefix(self.encode(self.unfinished(before)))
        state = read_prefix(by_line, ids[:-1])[1] if len(ids) > 1 else by_line.zero_state(1)
        return Start(state, int(ids[-1]))

    def _token_arcs(self, lattice: Lattice) -> tuple[list[TokenArc], list[str]]:
        """Return the arcs of a lattice with their texts as numbered tokens, and the list of these tokens."""
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
    check_counts(**counts)
    for name, weight in numbers.items():
        if not abs(weight) < math.inf:
            raise RnnlmError(f"{name} is {shown(weight)}; expected a number.")
