"""Measure word error rates of rescored n-best lists, with default and tuned weights, and with KenLM.

A recogniser is simulated on held-out verses of the King James Bible. It confuses a word with words of similar spelling
(one letter inserted, deleted or substituted), may delete or insert a short word, and gives each alternative a noisy
acoustic cost. The word that was said is cheaper by a margin that the noise often exceeds. The 20 cheapest sentences
form a list. Their scores are the negative sums of costs times three, since the scores of a recogniser are usually
overconfident. Punctuation marks are words that are always recognised. The lists are in SRILM's format, with log10
scores; the same seed gives the same lists.

Weights are tuned on lists of the validation part and applied to lists of the test part. The line search is compared
with a grid search over the same weights on the same lists. KenLM, if it is installed, reads the 5-gram from an ARPA
file that rnnlm wrote, so its line differs only in the treatment of unknown words.

Usage: python benchmarks/rescoring_error.py MODEL NGRAM KJV_FOLDER [--lists 300] [--write FOLDER]
"""

import argparse
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import rnnlm
from rnnlm.inference.error_rates import Reference, edit_distance
from rnnlm.inference.list_formats import Candidate, NbestList
from rnnlm.inference.rescoring import ranking
from rnnlm.inference.weight_search import Search, Table
from rnnlm.mixing import mixed as mixture
from rnnlm.ranked_lists import default_weights
from rnnlm.tuned_rescoring import Tuned

CANDIDATES = 20
LONGEST = 40  # words in a verse, at most
DOUBTFUL = 0.2  # share of the words that have alternatives
ALTERNATIVES = 3
MARGIN, NOISE = 2.2, 1.6  # of a cost in nats: the right word is cheaper by the margin
FAR = 1.2  # added for a word at edit distance 2
MISSED, ADDED = 4.0, 4.4  # costs of deleting a short word, and of inserting one
SHORT = ("a", "the", "of", "to", "in", "and", "that", "he", "it", "is", "my", "for", "as", "be", "his", "unto")
OVERRATED = 3  # scores are the negative costs times this
LOG10 = math.log(10)


class Lists(NamedTuple):
    """N-best lists and their reference texts."""

    lists: list[NbestList]
    references: list[str]


class Ear:
    """Words that can be mistaken for a word: those of a vocabulary at an edit distance of at most 2."""

    def __init__(self, words: Sequence[str]) -> None:
        self._by_key: dict[str, list[str]] = {}
        for word in words:
            for key in self._keys(word):
                self._by_key.setdefault(key, []).append(word)
        self._known: dict[str, list[tuple[str, int]]] = {}

    @staticmethod
    def _keys(word: str) -> list[str]:
        """Return the word and all its variants with one letter left out; similar words share a variant."""
        return list(dict.fromkeys([word, *(word[:place] + word[place + 1 :] for place in range(len(word)))]))

    def like(self, word: str) -> list[tuple[str, int]]:
        """Return similar words with their edit distances, nearest first, then most frequent first."""
        if word not in self._known:
            found = dict.fromkeys(other for key in self._keys(word) for other in self._by_key.get(key, []))
            near = [(other, edit_distance(word, other)) for other in found if other != word]
            self._known[word] = sorted(near, key=lambda pair: pair[1])
        return self._known[word]


def heard(words: Sequence[str], ear: Ear, rng: np.random.Generator) -> list[tuple[float, str]]:
    """Return the cheapest sentences with their costs, cheapest first."""
    best: list[tuple[float, tuple[str, ...]]] = [(0.0, ())]
    for word in words:
        choices = [(float(rng.normal(0, NOISE)), (word,))]
        if word.isalpha() and rng.random() < DOUBTFUL:
            near = ear.like(word)[: 2 * ALTERNATIVES]
            for place in rng.permutation(len(near))[:ALTERNATIVES]:
                other, distance = near[place]
                choices.append((MARGIN + FAR * (distance - 1) + float(rng.normal(0, NOISE)), (other,)))
            if word.lower() in SHORT:
                choices.append((MISSED + float(rng.normal(0, NOISE)), ()))
            added = SHORT[int(rng.integers(len(SHORT)))]
            choices.append((ADDED + float(rng.normal(0, NOISE)), (added, word)))
        grown = [(cost + more, (*said, *other)) for cost, said in best for more, other in choices]
        cheapest: dict[tuple[str, ...], float] = {}
        for cost, said in sorted(grown):
            cheapest.setdefault(said, cost)
        best = [(cost, said) for said, cost in itertools.islice(cheapest.items(), CANDIDATES)]
    return [(cost, " ".join(said)) for cost, said in best]


def lists_of(verses: Sequence[str], number: int, ear: Ear, seed: int) -> Lists:
    """Return lists for verses that are evenly spread over a text."""
    usable = [verse for verse in verses if 6 <= len(verse.split()) <= LONGEST]
    chosen = [" ".join(usable[place * len(usable) // number].split()) for place in range(number)]
    rng = np.random.default_rng(seed)
    lists = []
    for place, verse in enumerate(chosen, 1):
        candidates = heard(verse.split(), ear, rng)
        lists.append(NbestList(str(place), [_candidate(cost, text) for cost, text in candidates]))
    return Lists(lists, chosen)


def _candidate(cost: float, text: str) -> Candidate:
    score, words = round(-OVERRATED * cost / LOG10, 4), len(text.split())
    return Candidate(f"{score:.4f} 0 {words} {text}\n", None, text, score, 0.0, words)


def write(lists: Lists, folder: Path, name: str) -> None:
    """Write lists and references as files for the command line."""
    text = "\n".join("".join(each.line for each in one.candidates) for one in lists.lists)
    (folder / f"{name}.nbest").write_text(text, encoding="utf-8")
    (folder / f"{name}.ref").write_text("\n".join(lists.references) + "\n", encoding="utf-8")


def rate(lists: Lists, chosen: Sequence[int]) -> float:
    """Return the word error rate of the chosen candidates in percent."""
    errors = words = 0
    for one, said, place in zip(lists.lists, lists.references, chosen, strict=True):
        reference = Reference(said)
        errors += reference.errors(one.candidates[place].text).words
        words += len(reference.words)
    return 100 * errors / words


def oracle(lists: Lists) -> list[int]:
    """Return the place of the candidate with the fewest errors in each list."""
    found = []
    for one, said in zip(lists.lists, lists.references, strict=True):
        reference = Reference(said)
        found.append(int(np.argmin([reference.errors(each.text).words for each in one.candidates])))
    return found


class Scored:
    """Lists of both parts with the scores of a model."""

    def __init__(self, model: rnnlm.LanguageModel, *parts: Lists) -> None:
        self._model, self._parts = model, parts
        self._evidence = [[each.evidence for each in model.rescore(part.lists, "srilm")] for part in parts]

    def rates(self, alone: bool = False, **weights: float) -> list[float]:
        """Return the word error rate on each part of the candidates that `rnnlm rescore` ranks first.

        alone: leave out the acoustic scores.
        """
        chosen = default_weights(self._model, "srilm", **weights)
        found = []
        for part, lists in zip(self._parts, self._evidence, strict=True):
            given = [[each._replace(incoming=0.0) for each in one] if alone else one for one in lists]
            found.append(rate(part, [ranking([chosen.total(each) for each in one])[0] for one in given]))
        return found

    def grid(self) -> tuple[dict[str, float], int]:
        """Return the grid's weights with the fewest errors on the first part, and the number of points of the grid."""
        axes = [np.arange(0.2, 6.1, 0.2), np.arange(-2, 6.1, 0.2), np.arange(-8, 4.1, 1)]
        points = np.array(list(itertools.product([1.0], [0.0], *axes))).T
        count = np.zeros(points.shape[1], dtype=int)
        part = self._parts[0]
        for one, said, evidence in zip(part.lists, part.references, self._evidence[0], strict=True):
            reference = Reference(said)
            errors = np.array([reference.errors(each.text).words for each in one.candidates])
            count += errors[(np.array(evidence, dtype=float) @ points).argmax(axis=0)]
        best = [round(float(each), 3) for each in points[2:, count.argmin()]]
        return dict(zip(("lm_weight", "word_penalty", "oov_penalty"), best, strict=True)), points.shape[1]


def kenlm_table(path: Path, lists: Lists) -> Table:
    """Return KenLM's scores of lists as a table for the weight search."""
    import kenlm

    model = kenlm.Model(str(path))
    flat = [each for one in lists.lists for each in one.candidates]
    scored = [list(model.full_scores(each.text)) for each in flat]
    logprob = [sum(found[0] for found in each) for each in scored]
    oov = [sum(found[2] for found in each) for each in scored]
    errors = [
        reference.errors(each.text).words
        for one, reference in zip(lists.lists, map(Reference, lists.references), strict=True)
        for each in one.candidates
    ]
    return Table(
        np.cumsum([0, *(len(one.candidates) for one in lists.lists)]),
        np.array([each.incoming for each in flat]),
        np.array([[0, 0, each.words, unknown] for each, unknown in zip(flat, oov, strict=True)], dtype=float),
        np.array(errors),
        -np.array([logprob]) * LOG10,
        np.arange(len(flat)),
        LOG10,
    )


def kenlm_tuned(path: Path, dev: Lists, test: Lists) -> float:
    """Return the word error rate of the test lists with KenLM's scores and weights tuned for them."""
    table = kenlm_table(path, dev)
    found = Search(table, [0, 2, 3]).run(np.array([1.0, 0.0, 0.0, 0.0]), [1.0])
    tested = kenlm_table(path, test)
    return rate(test, tested.with_mixture([1.0]).chosen(found.weights) - tested.starts[:-1])


def main() -> None:
    """Make the lists, measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("ngram", type=Path)
    parser.add_argument("folder", type=Path, help="folder with train.txt, valid.txt and test.txt")
    parser.add_argument("--lists", type=int, default=300, help="number of n-best lists for each part")
    parser.add_argument("--arpa", type=Path, help="ARPA file of the n-gram, to compare with KenLM")
    parser.add_argument("--write", type=Path, help="write the lists and references into this folder")
    arguments = parser.parse_args()
    parts = ("train", "valid", "test")
    texts = {each: (arguments.folder / f"{each}.txt").read_text(encoding="utf-8") for each in parts}
    counts = Counter(texts["train"].split())
    ear = Ear([word for word, count in counts.most_common() if word.isalpha()])
    dev = lists_of(texts["valid"].splitlines(), arguments.lists, ear, 1)
    test = lists_of(texts["test"].splitlines(), arguments.lists, ear, 2)
    if arguments.write:
        arguments.write.mkdir(parents=True, exist_ok=True)
        write(dev, arguments.write, "dev")
        write(test, arguments.write, "test")
    show_table(arguments, dev, test)


def show_table(arguments: argparse.Namespace, dev: Lists, test: Lists) -> None:
    """Print the error rates of every way of choosing, on both parts."""
    print(f"{arguments.lists} lists of {CANDIDATES} for tuning, as many for the test; word error rates in percent")
    print(f"{'':44}{'dev':>7}{'test':>7}")

    def line(name: str, rates: Iterable[float]) -> None:
        print(f"{name:44}{''.join(f'{each:7.2f}' for each in rates)}", flush=True)

    def tuned(model: rnnlm.LanguageModel, mix: Sequence[tuple[Path, float | None]] = ()) -> Tuned:
        return rnnlm.tune_rescoring(model, dev.lists, dev.references, format="srilm", mix=mix)

    model = rnnlm.load(arguments.model)
    line("one-best", [rate(each, [0] * len(each.lists)) for each in (dev, test)])
    line("oracle", [rate(each, oracle(each)) for each in (dev, test)])
    scored, found = Scored(model, dev, test), tuned(model)
    line("model alone", scored.rates(alone=True))
    line("acoustic scores and model, no weights", scored.rates())
    line("tuned", scored.rates(**found.options()))
    where, tried = scored.grid()
    line(f"the best of a grid of {tried:,} weights", scored.rates(**where))
    both = tuned(model, [(arguments.ngram, None)])
    line("mixed with the n-gram, tuned", Scored(mixture(model, both.mix), dev, test).rates(**both.options()))
    if model.kind == "rnn" and model.predictor is not model.network:
        network = model.with_predictor(model.network)
        line("its network alone, tuned", Scored(network, dev, test).rates(**tuned(network).options()))
    ngram = rnnlm.load(arguments.ngram)
    line("the n-gram, tuned", Scored(ngram, dev, test).rates(**tuned(ngram).options()))
    if arguments.arpa:
        line("KenLM, the same n-gram, tuned", [kenlm_tuned(arguments.arpa, dev, each) for each in (dev, test)])
    for name, each in (("tuned", found), ("mixed", both)):
        weights = ", ".join(f"{option} {value:g}" for option, value in each.options().items())
        shares = "".join(f", {share:g} of {path}" for path, share in each.mix)
        print(f"{name}: {weights}{shares}")
        print(f"  {each.seconds_scoring:.1f} s for scoring {each.candidates:,} candidates and counting their errors,")
        print(f"  {each.seconds_searching:.1f} s for searching {each.lines:,} lines of weights")
    print(f"grid: {where}")


if __name__ == "__main__":
    main()
