"""Warn of tokens that are not in a model's vocabulary."""

from typing import TYPE_CHECKING

from rnnlm.cli.languages import tr
from rnnlm.cli.printing import note
from rnnlm.cli.tables import token_cell

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel
    from rnnlm.results import ScoredLine


def warn_of_unknown(model: "LanguageModel", text: str) -> None:
    """Warn of unknown tokens in a text, and of marks such as <s> that the model does not read as marks."""
    from rnnlm.hints import form_hint, marks_warning
    from rnnlm.text.marks import without_marks

    if warning := marks_warning(model, text):
        note(warning)
        text = without_marks(text)
    unknown = model.unknown_tokens(text)
    if unknown:
        shown = " ".join(token_cell(token) for token in unknown[:10]) + (" ..." if len(unknown) > 10 else "")
        note(tr("Warning: not in the vocabulary, read as <unk>: {tokens}", tokens=shown))
        if hint := form_hint(model, text):
            note(hint)


class Unknown:
    """Counts unknown tokens in scored lines, and keeps the first such lines for a hint."""

    def __init__(self, model: "LanguageModel", reads_marks: bool) -> None:
        """Start counting. reads_marks: whether <s>, </s> and <unk> in these lines are marks for every model."""
        from rnnlm.hints import NORMALIZED_CHARACTERS, marks_warning
        from rnnlm.text.vocabulary import UNKNOWN

        self._model, self._warn_of_marks = model, not reads_marks
        self._marks_warning, self._unknown_names = marks_warning, UNKNOWN
        self._sample: list[str] = []
        self._room = NORMALIZED_CHARACTERS
        self.words = self.unknown = 0  # without <unk> that is written in the text itself

    def add(self, scored: "ScoredLine") -> None:
        """Count the tokens of a line; warn once of marks that the model does not read as marks."""
        self.words += len(scored.tokens) - (self._model.line_end is not None)
        if oov := scored.oov:
            self.unknown += oov - (
                sum(token in self._unknown_names for token in scored.tokens) if "<" in scored.text else 0
            )
            if self._room > 0:
                self._sample.append(scored.text)
                self._room -= len(scored.text)
        if self._warn_of_marks and "<" in scored.text and (warning := self._marks_warning(self._model, scored.text)):
            self._warn_of_marks = False
            note(warning)

    def hint(self) -> str | None:
        """Return the hint of `form_hint` on the kept lines, if there is one."""
        from rnnlm.hints import form_hint
        from rnnlm.text.marks import without_marks

        return form_hint(self._model, without_marks("\n".join(self._sample))) if self._sample else None
