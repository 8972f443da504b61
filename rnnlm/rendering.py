"""Incremental conversion of ids to text."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from rnnlm.text.tokenizers import Tokenizer
from rnnlm.text.vocabulary import BOS, EOS, Vocabulary


class Written(Protocol):
    """The interface of `LanguageModel` that rendering uses."""

    tokenizer: Tokenizer
    vocabulary: Vocabulary

    @property
    def end(self) -> int | None:
        """Id that ends a generated text, or None."""


class Rendering:
    """Renders ids as text, one after another.

    like: a text; if the words of its last nonblank line are separated by spaces, so are those of the output.
    """

    def __init__(self, model: Written, like: str = "") -> None:
        """Start an empty text."""
        self._model, self._like = model, like.rstrip().rpartition("\n")[2]
        self._spacing = model.tokenizer.spacing(self._like)

    def piece(self, token_id: int) -> str:
        """Return the text that an id would add: a newline for </s>, nothing for <s>."""
        if token_id in (BOS, EOS):
            return "" if token_id == BOS else "\n"
        return self._spacing.piece(self._model.vocabulary.token(token_id))

    def add(self, token_id: int) -> str:
        """Add an id, and return its text."""
        if token_id == BOS:
            return ""
        if token_id == EOS:
            self._spacing = self._model.tokenizer.spacing(self._like)
            return "\n"
        return self._spacing.add(self._model.vocabulary.token(token_id))


class Writer:
    """Converts generated ids to text, up to the first stop string. Text that was taken is not kept."""

    def __init__(self, model: Written, prompt: str, ids: Iterable[Any], stop: Sequence[str]) -> None:
        """Start with the prompt as typed; the text after it has the spacing of the prompt."""
        self._end, self._stop = model.end, stop
        self.rendering = Rendering(model, prompt)
        for each in ids:
            self.rendering.add(int(each))
        self._spaced = prompt[-1:].isspace()  # the prompt ends with a space: add no other
        self._ready = [prompt]
        self._held = ""  # text that may be the beginning of a stop string
        self.length = 0  # characters after the prompt, including those cut at a stop string
        self.ended = False

    def piece(self, token: int) -> str:
        """Return the text that an id would add."""
        piece = self.rendering.piece(token)
        return piece.removeprefix(" ") if self._spaced and len(piece) > 1 else piece

    def add(self, token: int | None) -> None:
        """Add an id; None or the end id ends the text."""
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
        """End the text, and release the characters that were held back as a possible stop string."""
        if not self.ended:
            self._ready.append(self._held)
            self.ended = True

    @property
    def waiting(self) -> int:
        """Number of characters that `take` would return."""
        return sum(map(len, self._ready))

    def take(self) -> str:
        """Return the text that is final and was not taken yet."""
        text = "".join(self._ready)
        self._ready.clear()
        return text
