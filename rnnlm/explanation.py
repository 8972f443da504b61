"""Which tokens of a text a prediction depends on."""

import math

from rnnlm.codec import Codec
from rnnlm.completion import best, candidates
from rnnlm.errors import VocabularyError
from rnnlm.inference.attribution import Replacement, replacements
from rnnlm.inference.model import SequenceModel, read_prefix
from rnnlm.results import Explanation, Influence
from rnnlm.text.vocabulary import FIRST


def explained(codec: Codec, reader: SequenceModel, text: str) -> Explanation:
    """How much each token of a text speaks for the most probable next one; see `inference.attribution`.

    Raises:
        VocabularyError: there is a single token, so none can be replaced by another.
    """
    if len(codec.vocabulary) == FIRST + 1:
        raise VocabularyError(
            "The vocabulary has one token; expected at least two, so that one can stand in another's place. Train "
            "on a text of more tokens."
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
    """How much a token speaks for an answer that has this log probability in nats where the token stands."""
    changes = (log_probability - replacement.log_probabilities[:, answer].astype(float)) / math.log(2)
    strongest = int(abs(changes).argmax())
    row = replacement.log_probabilities[strongest]
    (then,) = candidates(codec, row, best(codec, row, 1))
    substitute = codec.vocabulary.token(replacement.substitutes[strongest])
    return Influence(token, float(changes.mean()), substitute, then.token, then.probability)
