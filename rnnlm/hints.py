"""Hints for texts with many unknown tokens: another Unicode form or case is known, or marks are read as words."""

import unicodedata
from functools import reduce
from typing import Literal

from rnnlm.language_model import LanguageModel
from rnnlm.sentences import Sentence
from rnnlm.text.marks import marks_in

NORMALIZATION_FORMS: tuple[Literal["NFC", "NFD", "NFKC"], ...] = ("NFC", "NFD", "NFKC")
NORMALIZED_CHARACTERS = 10_000  # characters of a text that are compared in other Unicode forms


def marks_warning(model: LanguageModel, text: str) -> str | None:
    """Return a warning if a text has <s>, </s> or <unk> and the model reads them as unknown text; else None."""
    if model.tokenizer.reads_marks:
        return None
    marks = [mark for mark in marks_in(text) if model.unknown_tokens(mark)]
    if not marks:
        return None
    each = [Sentence("{mark} as {tokens}", mark=mark, tokens=" ".join(model.tokens(mark))) for mark in marks]
    return Sentence(
        "Warning: this model reads {read}: as text that it does not know, not as marks. Take them out, or train with "
        "--level token, for which <s> and </s> are the ends of a sentence and <unk> is the unknown word.",
        read=reduce(lambda before, mark: Sentence("{one}; {two}", one=before, two=mark), each),
    )


def form_hint(model: LanguageModel, text: str) -> str | None:
    """Return a hint if more tokens of the beginning of a text are known in another Unicode form or case; else None."""
    text = text[:NORMALIZED_CHARACTERS]
    forms: dict[str, str] = {"": text}
    for form in NORMALIZATION_FORMS:  # e.g. combining accents, fullwidth letters
        forms[Sentence("the Unicode normalization form {form}", form=form)] = unicodedata.normalize(form, text)
    forms |= {Sentence("lower case"): text.lower(), Sentence("upper case"): text.upper()}
    unknown = {form: len(model.unknown_tokens(each)) for form, each in forms.items()}
    best = min(unknown, key=unknown.__getitem__)
    # Another case makes some words known and others, such as names, unknown: a small gain may be chance.
    if best.endswith("case") and unknown[best] > unknown[""] / 2:
        best = min(list(forms)[:-2], key=unknown.__getitem__)
    return Sentence("More of the text is known in {form}; convert it to that first.", form=best) if best else None
