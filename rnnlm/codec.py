"""Text to ids and back, as a model reads and writes it."""

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
    """A tokenizer, a vocabulary and a context: how a text becomes ids, and ids a text.

    Attributes:
        context: "sentence", every line begins at <s>; or "stream", the text is one piece.
        line_resets: Whether some lines of a stream began at <s> with a zero state, so that any line may be read so.
    """

    def __init__(self, tokenizer: Tokenizer, vocabulary: Vocabulary, context: str) -> None:
        self.tokenizer, self.vocabulary, self.context = tokenizer, vocabulary, context
        self.line_resets = False

    @property
    def level(self) -> str:
        """What a token is: "char", "word" or "token"."""
        return self.tokenizer.name

    @property
    def reads_lines(self) -> bool:
        """Whether a line's end is </s>; else the newline is a token like any other."""
        return reads_lines(self.level, self.context)

    def tokens(self, text: str) -> list[str]:
        """Tokens of a text."""
        return self.tokenizer.tokenize(text)

    def id_of(self, token: str) -> int:
        """Id of a token that is given by itself, in whatever case the model reads."""
        return int(self.vocabulary.encode([as_read(self.tokenizer, token)])[0])

    def encode(self, text: str, line_ids: Callable[[str], NDArray[np.int32]] | None = None) -> NDArray[np.int32]:
        """Ids of a text as the model was trained on it: lines end with </s>, blank ones are left out.

        What follows the last newline is a line that has not ended. In a stream of characters the newline is a token
        like any other. line_ids: gives the ids of a line's tokens, for a caller that remembers them.
        """
        import numpy as np

        line_ids = line_ids or self.line_ids
        if not self.reads_lines:
            return line_ids(text)
        *lines, last = text.split("\n")
        parts = [part for line in lines if line.strip() for part in (line_ids(line), [EOS])]
        return np.concatenate([*parts, line_ids(last)]).astype(np.int32)

    def line_ids(self, line: str) -> NDArray[np.int32]:
        """Ids of a line's tokens, unknown ones as <unk>, without its end."""
        return self.vocabulary.encode(self.tokens(line))

    def cut(self, text: str, ended: bool = False) -> Iterator[Piece]:
        """Cut a text at its tokens; the pieces joined are the text again, their ids those of `encode`.

        ended: whether the last line's end is given, too, where the text lacks it; such a piece has no text.
        """
        parts = text.split("\n") if self.reads_lines else [text]
        before = ""  # blank lines, and the whitespace before a token
        held: Piece | None = None  # the last of all takes what stands after it
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
        """Number of characters that figures are divided by: lines with their ends, blank ones left out.

        In a stream of characters all of them count, and the end of the last line, too.
        """
        lines = text.removesuffix("\n").split("\n") if text else []
        return sum(self.counted_characters(line) or 0 for line in lines)

    def unfinished(self, text: str) -> str:
        """The part of a text on which it depends what follows: in sentences, the line that has not ended."""
        return text.rpartition("\n")[2] if self.context == "sentence" else text

    def prefix(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """What is read before the prediction of what follows ids: `start`, then in sentences the unfinished line."""
        import numpy as np

        if self.context == "sentence" and len(ends := np.flatnonzero(ids == EOS)):
            ids = ids[ends[-1] + 1 :]
        return np.concatenate([[self.start], ids[1:] if ids[:1].tolist() == [BOS] else ids]).astype(np.int32)

    def unknown_tokens(self, text: str) -> list[str]:
        """The text's tokens that the vocabulary lacks, in order of appearance, each once; not a written <unk>."""
        written = UNKNOWN if self.tokenizer.reads_marks else ()
        tokens = [token for line in text.split("\n") for token in self.tokens(line) if token not in written]
        known = self.vocabulary.encode(tokens) != UNK
        return list(dict.fromkeys(token for token, is_known in zip(tokens, known, strict=True) if not is_known))

    def render(self, ids: Iterable[Any]) -> str:
        """Text of ids; </s> is a line's end."""
        return "".join(self.pieces(ids))

    def pieces(self, ids: Iterable[Any]) -> Iterator[str]:
        """The text that each id but <s> adds, given out before the next is asked for; together, what they render as."""
        rendering = Rendering(self)
        return (rendering.add(int(each)) for each in ids if each != BOS)

    def never_generated(self) -> list[int]:
        """Ids that are no text: <s>, </s> where lines do not end with it, <unk> unless the training text wrote it."""
        unwritten = [] if self.vocabulary.unknown else [UNK]
        return [BOS, *unwritten] if self.reads_lines else [BOS, EOS, *unwritten]

    @property
    def start(self) -> int:
        """The id that is read before a line or a text, and is neither scored nor printed.

        <s>, or in a stream without line resets the end of a line: there <s> stands only where a column of the training
        text began, which may be anywhere, while a line is read after the end of another. (Reading <s> before that end
        as well was no better with any model that was tried, and up to 5 % worse in perplexity.)
        """
        end = self.line_end
        return BOS if self.context == "sentence" or self.line_resets or end is None else end

    @property
    def end(self) -> int | None:
        """The id that ends a generated text: </s> where a text is a sentence."""
        return EOS if self.context == "sentence" else None

    @property
    def line_end(self) -> int | None:
        """The id that ends a line: </s>, or in a stream of characters the newline; None if it never saw one."""
        if self.reads_lines:
            return EOS
        newline = int(self.vocabulary.encode("\n")[0])
        return None if newline == UNK else newline

    def counted_characters(self, line: str) -> int | None:
        """Characters of a line that figures count, its end included if that is a token.

        None for a blank line, which is in no figure, unless it is a part of a stream of characters.
        """
        if self.reads_lines and not line.strip():
            return None
        counted = counted_characters(line, self.tokenizer.keeps_spaces, self.tokenizer.reads_marks)
        return counted + (self.line_end is not None)

    def spans(self, scored: ScoredLine) -> list[tuple[int, int]]:
        """Where each token of a line stands in its text, start and end; the line's end is at the end of the text."""
        words, ends = scored.tokens, []
        if self.line_end is not None:
            words, ends = words[:-1], [(len(scored.text),) * 2]
        return spans(self.tokenizer, scored.text, words) + ends

    def ids_of_line(self, tokens: list[str], end: int | None) -> NDArray[np.int32]:
        """Ids of a line's tokens; the last token is its end if there is one, whatever text may be spelt like it."""
        ids = self.vocabulary.encode(tokens)
        if end is not None:
            ids[-1] = end
        return ids


def reads_lines(level: str, context: str) -> bool:
    """Whether a text is read line by line with </s> at the ends: everything but a stream of characters."""
    return not (level == "char" and context == "stream")
