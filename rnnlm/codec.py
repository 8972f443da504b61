"""Conversion between text and ids, as a model reads and writes text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rnnlm.rendering import Rendering
from rnnlm.results import Piece
from rnnlm.text.letter_case import as_read
from rnnlm.text.lines import counted_characters
from rnnlm.text.tokenizers import Tokenizer, spans
from rnnlm.text.vocabulary import BOS, EOS, SPECIALS, UNK, UNKNOWN, Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnnlm.results import ScoredLine


class Codec:
    """Convert text to ids and back with a tokenizer, a vocabulary and a context.

    Attributes:
        context: "sentence", where every line begins after <s>, or "stream", where the text is one sequence.
        line_resets: Whether a model of a stream was also trained on lines that begin after <s> with a zero state,
            so that any line may be read like this.
    """

    def __init__(self, tokenizer: Tokenizer, vocabulary: Vocabulary, context: str) -> None:
        self.tokenizer, self.vocabulary, self.context = tokenizer, vocabulary, context
        self.line_resets = False

    @property
    def level(self) -> str:
        """Level of the tokens: "char", "word" or "token"."""
        return self.tokenizer.name

    @property
    def reads_lines(self) -> bool:
        """Whether </s> ends a line; otherwise the newline is an ordinary token."""
        return reads_lines(self.level, self.context)

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of a text."""
        return self.tokenizer.tokenize(text)

    def id_of(self, token: str) -> int:
        """Return the id of a single token, which is lower-cased first if the model reads lower case."""
        return int(self.vocabulary.encode([as_read(self.tokenizer, token)])[0])

    def encode(self, text: str, line_ids: Callable[[str], NDArray[np.int32]] | None = None) -> NDArray[np.int32]:
        """Return the ids of a text as in training: lines end with </s>, blank lines are left out.

        The text after the last newline is an unfinished line, without </s>. In a stream of characters the newline is
        an ordinary token. line_ids: replaces the method `line_ids`, for callers that cache its results.
        """
        import numpy as np

        line_ids = line_ids or self.line_ids
        if not self.reads_lines:
            return line_ids(text)
        *lines, last = text.split("\n")
        parts = [part for line in lines if line.strip() for part in (line_ids(line), [EOS])]
        return np.concatenate([*parts, line_ids(last)]).astype(np.int32)

    def line_ids(self, line: str) -> NDArray[np.int32]:
        """Return the ids of the tokens of a line, <unk> for unknown ones, without the end of the line."""
        return self.vocabulary.encode(self.tokens(line))

    def cut(self, text: str, ended: bool = False) -> Iterator[Piece]:
        """Yield one piece for each token of a text; their texts join to the text, and their ids are those of `encode`.

        ended: also yield the end of the last line if the text does not have it, as a piece without text.
        """
        parts = text.split("\n") if self.reads_lines else [text]
        before = ""  # blank lines, and the whitespace before a token
        held: Piece | None = None  # one piece behind: the last takes the text after it
        for number, line in enumerate(parts, 1):
            end = "\n" if number < len(parts) else "" if ended and self.reads_lines else None
            if end is not None and not line.strip():
                before += line + end
                continue
            place, tokens = 0, self.tokens(line)
            ids = self.vocabulary.encode(tokens).tolist()
            for token, token_id, (_, stop) in zip(tokens, ids, spans(self.tokenizer, line, tokens), strict=True):
                if held is not None:
                    yield held
                held, before, place = Piece(before + line[place:stop], token, token_id), "", stop
            before += line[place:]
            if end is not None:
                if held is not None:
                    yield held
                held, before = Piece(before + end, SPECIALS[EOS], EOS), ""
        if held is not None:
            yield held._replace(text=held.text + before)
            if ended and not self.reads_lines and self.line_end is not None and held.token != "\n":
                yield Piece("", "\n", self.line_end)

    def characters(self, text: str) -> int:
        """Return the number of characters for figures per character: lines with their ends, without blank lines.

        In a stream of characters, all characters count, and so does the end of the last line.
        """
        lines = text.removesuffix("\n").split("\n") if text else []
        return sum(self.counted_characters(line) or 0 for line in lines)

    def unfinished(self, text: str) -> str:
        """Return the part of a text that the next token depends on: with sentences, only the unfinished line."""
        return text.rpartition("\n")[2] if self.context == "sentence" else text

    def prefix(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the ids to read before predicting: `start`, then `ids`, with sentences only those of the last line."""
        import numpy as np

        if self.context == "sentence" and len(ends := np.flatnonzero(ids == EOS)):
            ids = ids[ends[-1] + 1 :]
        return np.concatenate([[self.start], ids[1:] if ids[:1].tolist() == [BOS] else ids]).astype(np.int32)

    def unknown_tokens(self, text: str) -> list[str]:
        """Return the distinct unknown tokens of a text, in order of appearance, without a literal <unk>."""
        written = UNKNOWN if self.tokenizer.reads_marks else ()
        tokens = [token for line in text.split("\n") for token in self.tokens(line) if token not in written]
        known = self.vocabulary.encode(tokens) != UNK
        return list(dict.fromkeys(token for token, is_known in zip(tokens, known, strict=True) if not is_known))

    def render(self, ids: Iterable[Any]) -> str:
        """Return the text of ids; </s> becomes a newline."""
        return "".join(self.pieces(ids))

    def pieces(self, ids: Iterable[Any]) -> Iterator[str]:
        """Yield the text that each id except <s> adds to the text so far; they join to `render(ids)`."""
        rendering = Rendering(self)
        return (rendering.add(int(each)) for each in ids if each != BOS)

    def never_generated(self) -> list[int]:
        """Return the ids never to generate: <s>, </s> if it ends no line, <unk> if the training text had none."""
        unwritten = [] if self.vocabulary.unknown else [UNK]
        return [BOS, *unwritten] if self.reads_lines else [BOS, EOS, *unwritten]

    @property
    def start(self) -> int:
        """Id that is read before a line or text, and is neither scored nor printed.

        It is <s>, or in a stream without line resets the id of a line end. In such a training <s> stands only at the
        start of each batch column, at an arbitrary place of the text, while a line follows the end of another line.
        (Reading <s> before that end as well was never better, and up to 5 % worse in perplexity.)
        """
        end = self.line_end
        return BOS if self.context == "sentence" or self.line_resets or end is None else end

    @property
    def end(self) -> int | None:
        """Id that ends a generated text: </s> in a model of sentences, else None."""
        return EOS if self.context == "sentence" else None

    @property
    def line_end(self) -> int | None:
        """Id that ends a line: </s>, or in a stream of characters the newline; None if the vocabulary lacks it."""
        if self.reads_lines:
            return EOS
        newline = int(self.vocabulary.encode("\n")[0])
        return None if newline == UNK else newline

    def counted_characters(self, line: str) -> int | None:
        """Return the number of characters of a line for figures per character, with its end if that is a token.

        None for a blank line, which is left out of all figures except in a stream of characters.
        """
        if self.reads_lines and not line.strip():
            return None
        counted = counted_characters(line, self.tokenizer.keeps_spaces, self.tokenizer.reads_marks)
        return counted + (self.line_end is not None)

    def spans(self, scored: ScoredLine) -> list[tuple[int, int]]:
        """Return (start, end) of each token of a line in its text; (n, n) with n = len(text) for the line end."""
        words, ends = scored.tokens, []
        if self.line_end is not None:
            words, ends = words[:-1], [(len(scored.text),) * 2]
        return spans(self.tokenizer, scored.text, words) + ends

    def ids_of_line(self, tokens: list[str], end: int | None) -> NDArray[np.int32]:
        """Return the ids of the tokens of a line; `end`, if not None, becomes the id of the last, however spelt."""
        ids = self.vocabulary.encode(tokens)
        if end is not None:
            ids[-1] = end
        return ids


def reads_lines(level: str, context: str) -> bool:
    """Return whether lines end with </s>: at every level and context except a stream of characters."""
    return not (level == "char" and context == "stream")
