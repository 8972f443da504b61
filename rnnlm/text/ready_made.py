"""Detect texts that another program has tokenized already."""

import re

from rnnlm.sentences import Sentence

# Chunks that tokenizers write and people do not: <unk>, <s> and </s>; "@-@" of WikiText and Moses; pieces of words by
# BPE ("ferr@@ y", "low</w>", "Ġthe"), SentencePiece ("▁the") and WordPiece ("##ing").
_SIGN = re.compile(r"<unk>|<UNK>|</?s>|@[-,.]@|\S+@@|\S+</w>|Ġ\S+|▁\S*|##\w+")
MOST_READ = 1 << 16  # characters
REMEDY = "--level token"
LEAST, LEAST_SHARE = 5, 0.002  # smallest number of such chunks, and their smallest share of all chunks


def advice(text: str) -> str | None:
    """Return advice to use --level token if the beginning of a text looks tokenized already, else None."""
    chunks = text[:MOST_READ].split()
    signs = [chunk for chunk in chunks if _SIGN.fullmatch(chunk)]
    if len(signs) < max(LEAST, LEAST_SHARE * len(chunks)):
        return None
    shown = " ".join(list(dict.fromkeys(signs))[:3])
    return Sentence(
        "The text looks tokenised already: {shown} ... stand in it. Level word cuts such tokens; with {remedy} "
        "whatever stands between spaces is a token, <unk> is the unknown word, and <s> </s> are the ends of a "
        "sentence.",
        shown=shown,
        remedy=REMEDY,
    )
