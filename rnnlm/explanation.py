"""Attribution of a prediction to the tokens of the text before it."""

import math

from rnnlm.codec import Codec
from rnnlm.completion import best, candidates
from rnnlm.errors import VocabularyError
from rnnlm.inference.attribution import Replacement, replacements
from rnnlm.inference.model import SequenceModel, read_prefix
from rnnlm.results import Explanation, Influence
from rnnlm.text.vocabulary import FIRST


def explained(codec: Codec, reader: SequenceModel, text: str) -> Explanation:
    """Return how much each token of a text supports the most probable next token; see `inference.attribution`.

    Raises:
        VocabularyError: the vocabulary has a single token, so no token can be replaced.
    """
    if len(codec.vocabulary) == FIRST + 1:
        raise VocabularyError(
            "The vocabulary has one token; expected at least two, so that one can replace another. Train on a "
            "text with more tokens."
        )
    asked = codec.unfinished(text)
    prefix, tokens = codec.prefix(codec.encode(asked)), [piece.token for piece in codec.cut(asked)]
    log_probabilities, _ = read_prefix(reader, prefix)
    answer = best(codec, log_probabilities[0], 1)[0]
    nats = float(log_probabilities[0, answer])
    found = list(replacements(reader, prefix))
    left_out = len(tokens) - len(found)
    words = [_influence(codec, token, each, answer, nats) for token, each in zip(tokens[left_out:], found, strict=True)]
    return Explanation(codec.vocabulary.token(answer), words, left_out)


def _influence(codec: Codec, token: str, replacement: Replacement, answer: int, log_probability: float) -> Influence:
    """Return the influence of a token on an answer, whose log probability in nats with the token is given."""
    changes = (log_probability - replacement.log_probabilities[:, answer].astype(float)) / math.log(2)
    strongest = int(abs(changes).argmax())
    row = replacement.log_probabilities[strongest]
    (then,) = candidates(codec, row, best(codec, row, 1))
    substitute = codec.vocabulary.token(replacement.substitutes[strongest])
    return Influence(token, float(changes.mean()), substitute, then.token, then.probability)
