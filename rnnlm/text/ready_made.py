"""Signs that the tokens of a text were made before by another program."""

import re

# What such programs write and people do not: the unknown word and the ends of a sentence; WikiText's and Moses's "@-@";
# pieces of words by BPE ("ferr@@ y", "low</w>", "Ġthe"), SentencePiece ("▁the") and WordPiece ("##ing").
_SIGN = re.compile(r"<unk>|<UNK>|</?s>|@[-,.]@|\S+@@|\S+</w>|Ġ\S+|▁\S*|##\w+")
MOST_READ = 1 << 16  # characters
REMEDY = "--level token"
LEAST, LEAST_SHARE = 5, 0.002  # signs, and signs for each chunk between spaces, that are no accident


def advice(text: str) -> str | None:
    """Return a sentence about --level token where the beginning of a text is full of such signs, else None."""
    chunks = text[:MOST_READ].split()
    signs = [chunk for chunk in chunks if _SIGN.fullmatch(chunk)]
    if len(signs) < max(LEAST, LEAST_SHARE * len(chunks)):
        return None
    shown = " ".join(list(dict.fromkeys(signs))[:3])
    return (
        f"The text looks tokenised already: {shown} ... stand in it. Level word cuts such tokens; with {REMEDY} "
        "whatever stands between spaces is a token, <unk> is the unknown word, and <s> </s> are the ends of a sentence."
    )
