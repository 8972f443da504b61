"""Pinyin to text, and the repair of wrong homophones, on sentences that no model has read.

What is compared knows the same words and reads the same lattices: the frequencies of jieba's dictionary (a unigram of
its characters, or of its words), the n-gram of the training text, the network, and both together, by characters and by
words.

A text is cut into sentences of 5 to 40 characters; those of the last tenth (of a text of unrelated lines, every tenth)
are held out. Half of the held-out ones choose the penalty for a replacement, figures are of the others. Pinyin is what
pypinyin reads, without tones, the syllables separated or run together; punctuation stays. Counted are Chinese
characters: those that differ from the text, by edit distance. For the repair, one character of a sentence is replaced
by a homophone, drawn by its frequency in the training text; a sentence is repaired if it is the original again, and a
right one is spoilt if anything changes.

Usage: RNNLM_DATA=... python benchmarks/pinyin.py [hongloumeng] [chinese] [--time 3m | --epochs 10]
       ... --sentences 200 --beam 16 32           how many sentences; several beams are compared
       ... --model char=FILE --model word=FILE    models that were trained on the rest of one text (one text only)
       ... --held-out FILE                        lines that they have not read
"""

import argparse
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from pypinyin import Style, lazy_pinyin

import rnnlm
from rnnlm.baselines.levels import Level
from rnnlm.baselines.ngram import NgramModel
from rnnlm.language_model import LanguageModel
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.text.pinyin import Homophones
from rnnlm.text.tokenizers import CharTokenizer, WordTokenizer
from rnnlm.text.vocabulary import FIRST, Vocabulary

ROOT = Path(__file__).parent.parent
HAN = re.compile("[\u4e00-\u9fff]+")
SENTENCE = re.compile('[^。！？．!?\n]+[。！？．!?]?[”’"]*')
PENALTIES = [2.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0]


def texts(names: Sequence[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """Name, training lines and held-out lines of each text."""
    for name in names:
        if name == "chinese":
            lines = (ROOT / "corpora" / "chinese.txt").read_text(encoding="utf-8").splitlines()
            yield name, [line for place, line in enumerate(lines) if place % 10], lines[::10]
        else:
            lines = (Path(os.environ["RNNLM_DATA"]) / f"{name}.txt").read_text(encoding="utf-8").splitlines()
            lines = [line.strip() for line in lines if line.strip()]
            yield name, lines[: len(lines) * 9 // 10], lines[len(lines) * 9 // 10 :]


def sentences(lines: Sequence[str], number: int, seed: int = 1) -> list[str]:
    """Some sentences of usual length, each once."""
    found = [each.strip() for line in lines for each in SENTENCE.findall(line)]
    usable = list(dict.fromkeys(each for each in found if 5 <= len("".join(HAN.findall(each))) <= 40))
    order = np.random.default_rng(seed).permutation(len(usable))[:number]
    return [usable[place] for place in order]


def dictionary(level: str) -> LanguageModel:
    """The frequencies of jieba's dictionary as a model: of its single characters, or of all its words."""
    import jieba

    jieba.initialize()
    known = {word: count for word, count in jieba.dt.FREQ.items() if count and (level == "word" or len(word) == 1)}
    words = sorted(known, key=lambda word: -known[word])
    counts = np.array([1, 1, 1, *(known[word] for word in words)], dtype=np.float64)
    level_1 = Level(np.arange(len(counts)), np.log(counts / counts.sum()).astype(np.float32), np.zeros(len(counts)))
    tokenizer = CharTokenizer() if level == "char" else WordTokenizer()
    vocabulary = Vocabulary(words, counts[FIRST:].astype(int).tolist())
    return LanguageModel(tokenizer, vocabulary, NgramModel(len(counts), [level_1]), "sentence")


def parts(model: LanguageModel) -> dict[str, LanguageModel]:
    """The n-gram, the network and both together."""
    assert isinstance(model.predictor, NetworkWithNgram), "train with ngram=ORDER"
    found = {}
    for name, predictor in {"n-gram": model.ngram, "network": model.network, "mixture": model.predictor}.items():
        part = LanguageModel(model.tokenizer, model.vocabulary, predictor, model.context)
        part.line_before, part.line_resets = model.line_before, model.line_resets
        found[name] = part
    return found


def pinyin(text: str, between: str) -> str:
    """The pinyin of a text; what is not Chinese stays."""
    return HAN.sub(lambda run: between.join(lazy_pinyin(run[0], style=Style.NORMAL)), text)


def errors(found: str, wanted: str) -> int:
    """Edit distance between the Chinese characters of two texts."""
    one, other = "".join(HAN.findall(found)), "".join(HAN.findall(wanted))
    row = list(range(len(other) + 1))
    for i, character in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, against in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (character != against))
    return row[-1]


def converted(model: LanguageModel, wanted: list[str], between: str, beam: int) -> tuple[float, float, float]:
    """Share of characters and of sentences that are right, and milliseconds of a processor a syllable."""
    model.from_pinyin("wo")  # the readings are found once
    syllables = wrong = right = 0
    seconds = 0.0
    for text in wanted:
        typed = pinyin(text, between)
        begun = time.process_time()
        found = model.from_pinyin(typed, beam=beam)[0].text
        seconds += time.process_time() - begun
        syllables += len("".join(HAN.findall(text)))
        mistakes = errors(found, text)
        wrong += mistakes
        right += not mistakes
    return 1 - wrong / syllables, right / len(wanted), 1000 * seconds / syllables


def spoil(texts: list[str], training: Sequence[str], seed: int = 2) -> list[str]:
    """Each text with one character replaced by a homophone."""
    counts = Counter(character for line in training for character in line if HAN.match(character))
    homophones, rng = Homophones(counts), np.random.default_rng(seed)
    spoilt = []
    for text in texts:
        others = homophones.of(text)
        able = [place for place, character in enumerate(text) if len(others[character]) > 1]
        place = int(rng.choice(able))
        choices = [each for each in others[text[place]] if each != text[place]]
        weights = np.array([counts[each] for each in choices], dtype=float)
        spoilt.append(text[:place] + str(rng.choice(choices, p=weights / weights.sum())) + text[place + 1 :])
    return spoilt


def repaired(model: LanguageModel, wrong: list[str], right: list[str], penalty: float) -> tuple[float, float, float]:
    """Share of wrong sentences that become right, share of right ones that become wrong, milliseconds a character."""
    begun = time.process_time()

    def corrected(text: str) -> str:
        return model.correct(text, homophones=True, replacement_penalty=penalty)[0].text

    mended = sum(corrected(text) == wanted for text, wanted in zip(wrong, right, strict=True))
    harmed = sum(corrected(text) != text for text in right)
    milliseconds = 1000 * (time.process_time() - begun) / sum(map(len, wrong + right))
    return mended / len(right), harmed / len(right), milliseconds


def best_penalty(model: LanguageModel, wrong: list[str], right: list[str]) -> float:
    """The penalty with which the most sentences are right in the end, half of them having been so before."""

    def worth(penalty: float) -> float:
        mended, harmed, _ = repaired(model, wrong, right, penalty)
        return mended - harmed

    return max(PENALTIES, key=worth)


def models(training: list[str], given: dict[str, str], **length: Any) -> dict[str, LanguageModel]:
    """Everything that is compared, by its name."""
    found = {f"dictionary, {level}": dictionary(level) for level in ("char", "word")}
    for level in ("char", "word"):
        if level in given:
            model = rnnlm.load(given[level])
        else:
            order = 6 if level == "char" else 5
            model = rnnlm.train(text=training, level=level, ngram=order, progress=False, threads=1, **length)
        found |= {f"{name}, {level}": part for name, part in parts(model).items()}
    return found


def table(rows: list[list[str]], heads: list[str]) -> None:
    """Print a table."""
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def main() -> None:
    """Print the tables of each text."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("texts", nargs="*", default=["hongloumeng", "chinese"])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--time", default=None, help="to train each network, such as 3m")
    length.add_argument("--epochs", type=float, default=None, help="to train each network; as many as fit the text")
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--beam", type=int, nargs="+", default=[16])
    parser.add_argument("--model", action="append", default=[], metavar="LEVEL=FILE")
    parser.add_argument("--held-out", type=Path)
    parser.add_argument("--skip", nargs="*", default=[], choices=["pinyin", "repair"])
    options = parser.parse_args()
    given = dict(each.split("=", 1) for each in options.model)
    for name, training, held_out in texts(options.texts):
        if options.held_out:
            held_out = options.held_out.read_text(encoding="utf-8").splitlines()
        chosen = sentences(held_out, 2 * options.sentences)
        known, unknown = chosen[::2], chosen[1::2]
        compared = models(training, given, time=options.time, epochs=options.epochs)
        characters = sum(len("".join(HAN.findall(text))) for text in unknown)
        print(f"{name}: {len(unknown)} sentences, {characters:,} characters\n", flush=True)
        if "pinyin" not in options.skip:
            show_pinyin(compared, unknown, options.beam)
        if "repair" not in options.skip:
            show_repair(compared, known, unknown, training)


def show_pinyin(compared: dict[str, LanguageModel], wanted: list[str], beams: list[int]) -> None:
    """Print how much of some texts is found from their pinyin."""
    rows = []
    for label, model in compared.items():
        for beam in beams:
            apart, together = (converted(model, wanted, between, beam) for between in (" ", ""))
            shares = [f"{100 * share:.1f} %" for share in (*apart[:2], *together[:2])]
            rows.append([label, str(beam), *shares, f"{apart[2]:.2f}", f"{together[2]:.2f}"])
    heads = ["model", "beam", "characters right", "sentences", "run together: characters", "sentences"]
    table(rows, [*heads, "ms a syllable", "run together"])


def show_repair(compared: dict[str, LanguageModel], known: list[str], wanted: list[str], training: list[str]) -> None:
    """Print how many wrong homophones are found, with the penalty that is best for other sentences."""
    rows = []
    for label, model in compared.items():
        penalty = best_penalty(model, spoil(known, training), known)
        mended, harmed, milliseconds = repaired(model, spoil(wanted, training), wanted, penalty)
        rows.append([label, f"{penalty:g}", f"{100 * mended:.1f} %", f"{100 * harmed:.1f} %", f"{milliseconds:.2f}"])
    table(rows, ["model", "penalty", "repaired", "right ones spoilt", "ms a character"])


if __name__ == "__main__":
    main()
