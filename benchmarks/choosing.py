"""Measure how often a model picks a line among corrupted copies of it, compared with an n-gram and with chance.

The right lines are the last part of a text, which `rnnlm train` holds out by default. A list is one of these lines with
up to nine copies that have one error each. The n-gram is trained on the rest of the text, with the model's own tokens
and vocabulary. If the right line is one of n candidates with the best score, the list counts as 1/n.

Usage: python benchmarks/choosing.py [model.npz [corpora/chinese.txt]]
"""

import argparse
import itertools
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.rescoring import Evidence, Weights
from rnnlm.language_model import LanguageModel
from rnnlm.mixing import mixture
from rnnlm.text.vocabulary import EOS

CORPUS = Path(__file__).parent.parent / "corpora" / "chinese.txt"
HAN = re.compile("[\u4e00-\u9fff]")
ERRORS = 9  # copies in a list

# Characters that an input method confuses because they sound alike, and those that a reader confuses by their looks.
HOMOPHONES = """
他她它 的得地 在再 做作坐座 那哪 像象向 以已意 是事市试世室 有又右友 时十实石食 知只之支 工公功 名明 生声升 经京惊精
新心 班般搬 到道倒 园圆元原员 气汽器 话画化 青轻清 书输叔 里理李礼 路录 长常场 带戴代待 见件建健 家加 节结接街 近进尽
连脸练 题提 完玩晚 喜洗 想响 校笑小 因音阴 雨语与 张章 主住注祝 字自子 最醉 妈马吗 买卖 和河合何 花华 期起七气 师诗湿
力历立 手首守 电店点 门们 面棉 火伙 水睡 开该 红洪 早找 跑泡 吃迟 让嚷 刚钢 块快 会回汇 走奏 对队 每美 被背北 文问闻
同童 学雪 年念 山三 先鲜 夜叶业 友油游 医一衣 包报抱 票漂 骑其奇
"""
LOOKALIKES = """
未末 己已 大太天夫 人入八 日目白自 土士 干千于 午牛 今令 问间 买卖 见贝 老考 手毛 木本术 休体 我找 鸟乌 处外 左右
很跟恨 话活 请清情晴 快块 远近 他她地 拔拨 住往 使便 候侯 没设 师帅 折拆 睛晴 换挽 坏怀 课棵 喝渴 这过还 说读 听所
来米 到倒 要耍 王玉 元无 开井 车东 从众 上土 下不 中申 四西 了子 小少 又义 几儿 个介 为办 月用 田由 生主 们门 时村
妈奶 哥歌 姐组 弟第 好妈 学字 爷爸 看着 点占 热熟 拿掌 推堆 跑抱 走起 晚挽 明朋 早草 在左 有右 回四 国围 两雨 面而
年午 同向 里单 再冉 公么 书节 长张 水永 火灭 山出
"""
ENGLISH = """
their/there to/too/two its/it's your/you're then/than hear/here no/know for/four one/won sea/see son/sun by/buy/bye
right/write would/wood which/witch whole/hole new/knew weather/whether wait/weight road/rode made/maid hour/our
of/off were/where was/saw on/no form/from quite/quiet lose/loose three/tree though/through thing/think with/white
"""


def alternatives(groups: Iterable[Iterable[str]]) -> dict[str, list[str]]:
    """Map each member of a group to the other members; a member may be in several groups."""
    found: dict[str, list[str]] = {}
    for group in map(list, groups):
        for member in group:
            found.setdefault(member, []).extend(other for other in group if other != member)
    return found


SOUND, LOOK = alternatives(HOMOPHONES.split()), alternatives(LOOKALIKES.split())
CONFUSED = alternatives(group.split("/") for group in ENGLISH.split())


def swapped(units: list[str]) -> list[list[str]]:
    """Return all copies with two neighbouring units swapped."""
    pairs = (place for place in range(len(units) - 1) if units[place] != units[place + 1])
    return [[*units[:place], units[place + 1], units[place], *units[place + 2 :]] for place in pairs]


def dropped(units: list[str]) -> list[list[str]]:
    """Return all copies with one unit left out."""
    return [[*units[:place], *units[place + 1 :]] for place in range(len(units))]


def repeated(units: list[str]) -> list[list[str]]:
    """Return all copies with one unit doubled.

    Without these, which balance the copies with a unit left out, the longest candidate would always be the right one.
    """
    return [[*units[:place], units[place], *units[place:]] for place in range(len(units))]


def replaced(table: dict[str, list[str]]) -> Callable[[list[str]], list[list[str]]]:
    """Return a function that makes all copies with one unit replaced by an alternative of the table."""

    def corrupt(units: list[str]) -> list[list[str]]:
        return [
            [*units[:place], other, *units[place + 1 :]]
            for place, unit in enumerate(units)
            for other in table.get(unit, [])
        ]

    return corrupt


def misspelt(words: list[str]) -> list[list[str]]:
    """Return all copies with two neighbouring letters of one word swapped."""
    return [
        [*words[:place], "".join(letters), *words[place + 1 :]]
        for place, word in enumerate(words)
        for letters in (swapped(list(word)) if word.isalpha() else [])
    ]


CHINESE_KINDS = {
    "swap": swapped,
    "drop": dropped,
    "repeat": repeated,
    "homophone": replaced(SOUND),
    "look-alike": replaced(LOOK),
}
ENGLISH_KINDS = {
    "swap": swapped,
    "drop": dropped,
    "repeat": repeated,
    "confused word": replaced(CONFUSED),
    "misspelt": misspelt,
}


def corruptions(line: str, rng: np.random.Generator) -> dict[str, list[str]]:
    """Return up to nine different corrupted copies of a line for each kind of error.

    Units are characters of unseparated Chinese, otherwise words.
    """
    chinese = HAN.search(line) is not None
    separated = chinese and " " in line.strip()
    units, glue = (list(line), "") if chinese and not separated else (line.split(), " ")
    found = {}
    for kind, corrupt in (CHINESE_KINDS if chinese else ENGLISH_KINDS).items():
        copies = sorted({glue.join(each) for each in corrupt(units)} - {line})
        if copies:
            found[kind] = [copies[place] for place in rng.permutation(len(copies))[:ERRORS]]
    return found


def split(model: LanguageModel, path: Path, fraction: float) -> tuple[list[list[str]], list[str]]:
    """Return the tokens of the training lines, and the held-out lines that are not among these.

    The text is split as `rnnlm train` splits it.
    """
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    tokens = [model.tokens(line) for line in lines]
    starts = np.cumsum([0, *(len(each) + 1 for each in tokens)])
    place = starts[-1] - round(starts[-1] * fraction)
    first = int(np.searchsorted(starts[:-1], place))
    known = set(lines[:first])
    return tokens[:first], [line for line in lines[first:] if line not in known]


def evidence(model: LanguageModel, lists: list[list[str]]) -> list[list[Evidence]]:
    """Return a model's evidence for each candidate of each list."""
    scores = model.score(candidate for each in lists for candidate in each)
    return [
        [
            Evidence(0, 0, line.logprob_nats + model.unknown_word_penalty * line.oov, len(line.tokens), 0)
            for line in itertools.islice(scores, len(each))
        ]
        for each in lists
    ]


def share_of_right(lists: list[list[Evidence]], weights: Weights) -> float:
    """Return the share of lists whose first candidate, the right one, has the highest total."""
    right = 0.0
    for each in lists:
        totals = np.array([weights.total(candidate) for candidate in each])
        best = np.flatnonzero(totals == totals.max())
        right += (0 in best) / len(best)
    return right / len(lists)


def tuned(lists: list[list[Evidence]]) -> Weights:
    """Return the weights with the word penalty of `rnnlm rescore` that gets most lists right."""
    grid = [Weights(word_penalty=penalty) for penalty in range(13)]
    return max(grid, key=lambda weights: share_of_right(lists, weights))


def trained(corpus: Path) -> LanguageModel:
    """Train a model of a text with `rnnlm train --time 75s`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        subprocess.run(
            [sys.executable, "-m", "rnnlm", "train", str(corpus), "-o", str(path), "--force", "--time", "75s"],
            check=True,
        )
        return LanguageModel.load(path)


def main() -> None:
    """Measure the models and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, help="checkpoint; default: one trained on the corpus for 75 s")
    parser.add_argument("corpus", nargs="?", type=Path, default=CORPUS)
    parser.add_argument("--fraction", type=float, default=0.1, help="share of the corpus that is held out")
    parser.add_argument("--order", type=int, default=3, help="order of the n-gram")
    parser.add_argument("--lines", type=int, default=300, help="most held-out lines to use")
    arguments = parser.parse_args()
    model = LanguageModel.load(arguments.model) if arguments.model else trained(arguments.corpus)
    training, held_out = split(model, arguments.corpus, arguments.fraction)
    ids = np.concatenate([np.append(model.vocabulary.encode(tokens), EOS) for tokens in training])
    ngram = NgramModel.train(ids, len(model.vocabulary), arguments.order)
    models = {
        "RNN": model,
        f"{arguments.order}-gram": LanguageModel(model.tokenizer, model.vocabulary, ngram, "sentence"),
    }
    if model.context == "sentence":
        models["half and half"] = mixture(model, [ngram], [0.5])
    rng = np.random.default_rng(0)
    halves: tuple[dict[str, list[list[str]]], ...] = ({}, {})
    for place, line in enumerate(held_out[: arguments.lines]):
        for kind, copies in corruptions(line, rng).items():
            halves[place % 2].setdefault(kind, []).append([line, *copies])
    print(f"{len(training):,} training lines, {min(len(held_out), arguments.lines):,} held-out lines: every other one")
    print("for tuning --word-penalty, the others for the table: as `rnnlm rescore` ranks without options, and tuned")
    show(models, *halves)


def show(
    models: dict[str, LanguageModel], tuning: dict[str, list[list[str]]], lists: dict[str, list[list[str]]]
) -> None:
    """Print a row for each kind of error and one for all."""
    shares: dict[str, list[str]] = {kind: [] for kind in [*lists, "all"]}
    names = []
    for name, model in models.items():
        weights = tuned(evidence(model, [each for kind in tuning.values() for each in kind]))
        names += [name, f"penalty {weights.word_penalty:g}"]
        found = {kind: evidence(model, each) for kind, each in lists.items()}
        found["all"] = [each for kind in found.values() for each in kind]
        for kind, each in found.items():
            shares[kind] += [f"{100 * share_of_right(each, used):.1f} %" for used in (Weights(), weights)]
    print(f"{'error':14}{'lists':>7}{'chance':>9}" + "".join(f"{name:>14}" for name in names))
    sizes = {kind: [len(each) for each in lists[kind]] for kind in lists}
    sizes["all"] = [size for kind in sizes.values() for size in kind]
    for kind, row in shares.items():
        chance = f"{100 * float(np.mean(1 / np.array(sizes[kind]))):.1f} %"
        print(f"{kind:14}{len(sizes[kind]):7}{chance:>9}" + "".join(f"{share:>14}" for share in row))


if __name__ == "__main__":
    main()
