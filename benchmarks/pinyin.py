"""Measure pinyin conversion and the correction of wrong homophones, on held-out sentences.

All contestants know the same words and read the same lattices: the frequencies of jieba's dictionary (a unigram model
of its characters or words), the n-gram model of the training text, the network, and the mixture of both, by characters
and by words.

A text is cut into sentences of 5 to 40 characters; those of the last tenth (every tenth line of a text of unrelated
lines) are held out. Half of the held-out sentences choose the replacement penalty, the figures are of the other half.
Pinyin is the output of pypinyin without tones, with the syllables separated or run together; punctuation stays. Errors
are the edit distance between Chinese characters. For the correction, one character of a sentence is replaced by a
homophone, drawn by its frequency in the training text. A sentence is repaired if the result equals the original, and a
right sentence is spoilt if it is changed at all.

Usage: RNNLM_DATA=... python benchmarks/pinyin.py [hongloumeng] [chinese] [--time 3m | --epochs 10]
       ... --sentences 200 --beam 16 32           number of sentences, and beam sizes to compare
       ... --model char=FILE --model word=FILE    models trained on the rest of the text (one text only)
       ... --held-out FILE                        lines that these models have not read
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
    """Yield name, training lines and held-out lines of each text."""
    for name in names:
        if name == "chinese":
            lines = (ROOT / "corpora" / "chinese.txt").read_text(encoding="utf-8").splitlines()
            yield name, [line for place, line in enumerate(lines) if place % 10], lines[::10]
        else:
            lines = (Path(os.environ["RNNLM_DATA"]) / f"{name}.txt").read_text(encoding="utf-8").splitlines()
            lines = [line.strip() for line in lines if line.strip()]
            yield name, lines[: len(lines) * 9 // 10], lines[len(lines) * 9 // 10 :]


def sentences(lines: Sequence[str], number: int, seed: int = 1) -> list[str]:
    """Return some different sentences of 5 to 40 characters."""
    found = [each.strip() for line in lines for each in SENTENCE.findall(line)]
    usable = list(dict.fromkeys(each for each in found if 5 <= len("".join(HAN.findall(each))) <= 40))
    order = np.random.default_rng(seed).permutation(len(usable))[:number]
    return [usable[place] for place in order]


def dictionary(level: str) -> LanguageModel:
    """Return a unigram model of jieba's dictionary: of its single characters, or of all its words."""
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
    """Return the n-gram, the network and the mixture of both, by name."""
    assert isinstance(model.predictor, NetworkWithNgram), "train with ngram=ORDER"
    found = {}
    for name, predictor in {"n-gram": model.ngram, "network": model.network, "mixture": model.predictor}.items():
        part = LanguageModel(model.tokenizer, model.vocabulary, predictor, model.context)
        part.line_before, part.line_resets = model.line_before, model.line_resets
        found[name] = part
    return found


def pinyin(text: str, between: str) -> str:
    """Return the pinyin of a text; other characters stay."""
    return HAN.sub(lambda run: between.join(lazy_pinyin(run[0], style=Style.NORMAL)), text)


def errors(found: str, wanted: str) -> int:
    """Return the edit distance between the Chinese characters of two texts."""
    one, other = "".join(HAN.findall(found)), "".join(HAN.findall(wanted))
    row = list(range(len(other) + 1))
    for i, character in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, against in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (character != against))
    return row[-1]


def converted(model: LanguageModel, wanted: list[str], between: str, beam: int) -> tuple[float, float, float]:
    """Return the shares of right characters and sentences, and milliseconds of processor time per syllable."""
    model.from_pinyin("wo")  # load the readings before the clock starts
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
    """Replace one character of each text by a homophone."""
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
    """Return the shares of repaired and of spoilt sentences, and milliseconds per character."""
    begun = time.process_time()

    def corrected(text: str) -> str:
        return model.correct(text, homophones=True, replacement_penalty=penalty)[0].text

    mended = sum(corrected(text) == wanted for text, wanted in zip(wrong, right, strict=True))
    harmed = sum(corrected(text) != text for text in right)
    milliseconds = 1000 * (time.process_time() - begun) / sum(map(len, wrong + right))
    return mended / len(right), harmed / len(right), milliseconds


def best_penalty(model: LanguageModel, wrong: list[str], right: list[str]) -> float:
    """Return the penalty that leaves most sentences right when half of the input sentences are right."""

    def worth(penalty: float) -> float:
        mended, harmed, _ = repaired(model, wrong, right, penalty)
        return mended - harmed

    return max(PENALTIES, key=worth)


def models(training: list[str], given: dict[str, str], **length: Any) -> dict[str, LanguageModel]:
    """Return all models to compare, by name."""
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
    """Measure each text and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("texts", nargs="*", default=["hongloumeng", "chinese"])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--time", default=None, help="time for each training, such as 3m")
    length.add_argument(
        "--epochs", type=float, default=None, help="passes of each training; default: chosen by the text"
    )
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
    """Print the accuracy of pinyin conversion."""
    rows = []
    for label, model in compared.items():
        for beam in beams:
            apart, together = (converted(model, wanted, between, beam) for between in (" ", ""))
            shares = [f"{100 * share:.1f} %" for share in (*apart[:2], *together[:2])]
            rows.append([label, str(beam), *shares, f"{apart[2]:.2f}", f"{together[2]:.2f}"])
    heads = ["model", "beam", "characters right", "sentences", "run together: characters", "sentences"]
    table(rows, [*heads, "ms a syllable", "run together"])


def show_repair(compared: dict[str, LanguageModel], known: list[str], wanted: list[str], training: list[str]) -> None:
    """Print the shares of repaired and spoilt sentences, with the penalty that is best on other sentences."""
    rows = []
    for label, model in compared.items():
        penalty = best_penalty(model, spoil(known, training), known)
        mended, harmed, milliseconds = repaired(model, spoil(wanted, training), wanted, penalty)
        rows.append([label, f"{penalty:g}", f"{100 * mended:.1f} %", f"{100 * harmed:.1f} %", f"{milliseconds:.2f}"])
    table(rows, ["model", "penalty", "repaired", "right ones spoilt", "ms a character"])


if __name__ == "__main__":
    main()
