"""Ids -> text that grows at its end."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from rnnlm.text.tokenizers import Tokenizer
from rnnlm.text.vocabulary import BOS, EOS, Vocabulary


class Written(Protocol):
    """The model whose ids are written; a `LanguageModel`."""

    tokenizer: Tokenizer
    vocabulary: Vocabulary

    @property
    def end(self) -> int | None:
        """The id that ends a generated text."""


class Rendering:
    """A text of a model's ids that grows at its end.

    like: a text; if the words of its last line (that is not blank) are separated by spaces, those here are, too.
    """

    def __init__(self, model: Written, like: str = "") -> None:
        """Nothing was written yet."""
        self._model, self._like = model, like.rstrip().rpartition("\n")[2]
        self._spacing = model.tokenizer.spacing(self._like)

    def piece(self, token_id: int) -> str:
        """The text that an id would add; </s> is a line's end, <s> is nothing."""
        if token_id in (BOS, EOS):
            return "" if token_id == BOS else "\n"
        return self._spacing.piece(self._model.vocabulary.token(token_id))

    def add(self, token_id: int) -> str:
        """The text that an id adds."""
        if token_id == BOS:
            return ""
        if token_id == EOS:
            self._spacing = self._model.tokenizer.spacing(self._like)
            return "\n"
        return self._spacing.add(self._model.vocabulary.token(token_id))


class Writer:
    """One text in the making: ids in, text out, cut at the first stop string. What was taken out is not kept."""

    def __init__(self, model: Written, prompt: str, ids: Iterable[Any], stop: Sequence[str]) -> None:
        """Begin with the prompt as it was typed; what follows is spaced as the prompt is."""
        self._end, self._stop = model.end, stop
        self.rendering = Rendering(model, prompt)
        for each in ids:
            self.rendering.add(int(each))
        self._spaced = prompt[-1:].isspace()  # and needs no other space
        self._ready = [prompt]
        self._held = ""  # what may be the beginning of a stop string
        self.length = 0  # of what was written after the prompt, cut or not
        self.ended = False

    def piece(self, token: int) -> str:
        """The text that an id would add."""
        piece = self.rendering.piece(token)
        return piece.removeprefix(" ") if self._spaced and len(piece) > 1 else piece

    def add(self, token: int | None) -> None:
        """Add an id; None or an end does nothing more."""
        if self.ended:
            return
        if token is None or token == self._end:
            self.finish()
            return
        piece = self.piece(token)
        self.rendering.add(token)
        self._held += piece
        self.length += len(piece)
        self._spaced = False
        places = [place for place in (self._held.find(stop) for stop in self._stop) if place >= 0]
        if places:
            self._held = self._held[: min(places)]
            self.finish()
            return
        beginnings = (n for stop in self._stop for n in range(len(stop)) if self._held.endswith(stop[:n]))
        certain = len(self._held) - max(beginnings, default=0)
        self._ready.append(self._held[:certain])
        self._held = self._held[certain:]

    def finish(self) -> None:
        """End the text: what was held back is no beginning of a stop string."""
        if not self.ended:
            self._ready.append(self._held)
            self.ended = True

    @property
    def waiting(self) -> int:
        """Number of characters that are certain and were not taken yet."""
        return sum(map(len, self._ready))

    def take(self) -> str:
        """What is certain and was not taken yet."""
        text = "".join(self._ready)
        self._ready.clear()
        return text
