"""Does a training learn which pronoun is decided many words back? Perplexity and accuracy of what `rnnlm train` makes.

    python benchmarks/agreement.py                          english and far with three seeds, and near from $RNNLM_DATA
    python benchmarks/agreement.py far --seeds 1 -- --dropout 0.4 --epochs 40
    python benchmarks/agreement.py far --write FOLDER       train.txt, valid.txt and pairs.tsv, for other programs

Every text has 2,400 different sentences whose object is always the subject: near (agreement_zh.txt of $RNNLM_DATA, 7
to 11 words between), english and far (15 to 20 words between), which are made here. The last tenth is held out. A
sentence is right if the right pronoun is the most probable next token; by chance one in six is. What stands after --
are options of `rnnlm train`. The 5-gram beside it has read the same sentences.
"""

import argparse
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import rnnlm

NUMBER = 2400
OBJECTS = {"I": "me", "you": "you", "he": "him", "she": "her", "we": "us", "they": "them"}
PRONOUNS = ["我", "你", "他", "她", "我们", "他们"]

ENGLISH = {
    "deed": [
        *("broke the window", "lost the keys", "came late to school", "talked in class", "forgot the homework"),
        *("tore the book", "did not clean the room", "failed the exam", "ran in the hall", "missed the lesson"),
    ],
    "time": ["yesterday", "today", "this morning", "last week", "on Monday", "the day before"],
    "who": ["teacher", "mother", "father", "headmaster", "monitor", "coach"],
    "verb": ["scolded", "forgave", "helped", "reminded", "comforted", "praised", "blamed"],
}
FAR = {
    "time": ["昨天", "今天", "前天", "早上", "下午", "上 个 星期"],
    "place": ["在 学校 里", "在 家 门口", "在 操场 上", "在 教室 里"],
    "deed": [
        *("把 窗户 打破 了", "上课 说话", "上学 迟到 了", "弄丢 了 钥匙", "撕坏 了 课本", "没有 打扫 教室"),
        "忘 了 带 作业",
    ],
    "news": [
        *("事情 很 快 传 到 了 办公室", "大家 都 看见 了 这 件 事", "消息 传 得 非常 快", "后来 全 班 都 知道 了"),
        "这 件 事 让 人 很 意外",
    ],
    "later": ["放学 以后", "晚上 吃饭 的 时候", "第二 天", "下课 以后"],
    "who": ["老师", "妈妈", "爸爸", "校长", "班长", "同学"],
    "verb": ["批评", "责备", "原谅", "帮助", "提醒", "安慰"],
}


def english(rng: random.Random) -> str:
    """A sentence such as: she failed the exam last week , and the coach reminded her ."""
    words = {name: rng.choice(fillers) for name, fillers in ENGLISH.items()}
    subject = rng.choice(list(OBJECTS))
    return "{s} {deed} {time} , and the {who} {verb} {o} .".format(s=subject, o=OBJECTS[subject], **words)


def far(rng: random.Random) -> str:
    """A Chinese sentence with 15 to 20 words from one pronoun to the other."""
    while True:
        words = {name: rng.choice(fillers) for name, fillers in FAR.items()}
        pronoun = rng.choice(PRONOUNS)
        line = "{s} {time} {place} {deed} ， {news} ， {later} {who} {verb} 了 {s} 。".format(s=pronoun, **words)
        if 15 <= len(line.split()) - 3 <= 20:
            return line


def made(sentence: Callable[[random.Random], str], seed: int) -> list[str]:
    """Different sentences."""
    rng, found = random.Random(seed), dict[str, None]()
    while len(found) < NUMBER:
        found[sentence(rng)] = None
    return list(found)


def lines_of(name: str) -> list[str]:
    """The sentences of a text."""
    if name == "near":
        path = Path(os.environ.get("RNNLM_DATA", ".")) / "agreement_zh.txt"
        return path.read_text(encoding="utf-8").splitlines()
    return made({"english": english, "far": far}[name], 1)


def accuracy(model: rnnlm.LanguageModel, lines: list[str]) -> float:
    """Share of sentences whose last word but one is the model's first choice after what stands before it."""
    words = [line.split() for line in lines]
    chosen = [model.predict(" ".join(each[:-2]), k=1).candidates[0].token for each in words]
    return sum(token == each[-2] for token, each in zip(chosen, words, strict=True)) / len(words)


def parts(name: str, folder: Path) -> tuple[Path, Path, list[str]]:
    """The files of a text's parts, and the sentences of the second one."""
    lines = lines_of(name)
    train, held_out = lines[: len(lines) * 9 // 10], lines[len(lines) * 9 // 10 :]
    paths = folder / "train.txt", folder / "valid.txt"
    for path, part in zip(paths, (train, held_out), strict=True):
        path.write_text("\n".join(part) + "\n", encoding="utf-8")
    return *paths, held_out


def pairs(lines: list[str]) -> list[str]:
    """Lines with a tab between each sentence and the same with a wrong pronoun, each other one in turn."""
    objects = PRONOUNS if lines[0].split()[-2] in PRONOUNS else list(OBJECTS.values())
    found = []
    for number, line in enumerate(lines):
        words = line.split()
        wrong = [each for each in objects if each != words[-2]][number % (len(objects) - 1)]
        found.append(f"{line}\t{' '.join([*words[:-2], wrong, words[-1]])}")
    return found


def row(name: str, seed: int, options: list[str], folder: Path) -> str:
    """Train on a text and measure, in a line of the table."""
    text, valid, held_out = parts(name, folder)
    commands = {
        "model": ["train", str(text), "--valid", str(valid), "--seed", str(seed), *options],
        "5-gram": ["ngram", "train", str(text), "--order", "5"],
    }
    found = []
    for kind, command in commands.items():
        file = str(folder / f"{kind}.npz")
        command = [sys.executable, "-m", "rnnlm", *command, "-o", file, "--force"]
        subprocess.run(command, check=True, capture_output=True)
        model = rnnlm.LanguageModel.load(file)
        scored = list(model.score(held_out))
        nats = -sum(each.logprob_nats for each in scored) / sum(len(each.tokens) for each in scored)
        found += [f"{math.exp(nats):.3f}", f"{accuracy(model, held_out):.1%}"]
    return f"| {name}, seed {seed} | {' | '.join(found)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = ["near"] * ("RNNLM_DATA" in os.environ) + ["english", "far"]
    parser.add_argument("texts", nargs="*", default=usual, help="of near, english and far")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the first text's files instead")
    place = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments, options = parser.parse_args(sys.argv[1:place]), sys.argv[place + 1 :]
    if arguments.write:
        arguments.write.mkdir(parents=True, exist_ok=True)
        held_out = parts(arguments.texts[0], arguments.write)[2]
        (arguments.write / "pairs.tsv").write_text("\n".join(pairs(held_out)) + "\n", encoding="utf-8")
        return
    print("| text | perplexity | right | 5-gram's | right |\n| --- | ---: | ---: | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.texts:
            for seed in arguments.seeds:
                print(row(name, seed, options, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
