"""`rnnlm rescore --ref` and `--tune`: error rates, tuned weights, and the command that applies them."""

import json
import math
import shlex

import numpy as np
import pytest

import rnnlm
from rnnlm.cli import run
from rnnlm.language_model import LanguageModel
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.tokenizers import WordTokenizer
from rnnlm.text.vocabulary import Vocabulary

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "mat"]


def new_model(seed):
    vocabulary = Vocabulary(WORDS, [1] * len(WORDS))
    network = Network.initialize(NetworkConfig(len(vocabulary), "lstm", "tanh", 8, 1, 5), np.random.default_rng(seed))
    for array in network.params.values():
        array *= 4
    return LanguageModel(WordTokenizer(), vocabulary, network, "sentence")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two models, lists in SRILM's format and their references."""
    folder = tmp_path_factory.mktemp("lists")
    for name, seed in [("model.npz", 1), ("other.npz", 2)]:
        new_model(seed).save(folder / name)
    rng, model = np.random.default_rng(3), new_model(1)
    lists, references = [], []
    for _ in range(60):
        said = [WORDS[i] for i in rng.integers(0, len(WORDS), rng.integers(2, 7))]
        candidates = []
        for _ in range(8):
            heard = [word if rng.random() < 0.7 else WORDS[rng.integers(0, 8)] for word in said if rng.random() < 0.9]
            heard += ["zebra"] * (rng.random() < 0.2)
            errors = sum(a != b for a, b in zip(said, heard, strict=False)) + abs(len(said) - len(heard))
            score = -0.7 * errors - model.score(" ".join(heard)).logprob_nats / 2 + float(rng.normal(0, 2))
            candidates.append(f"{score:.3f} {float(rng.normal()):.3f} {len(heard)} {' '.join(heard)}\n")
        lists.append("".join(sorted(candidates, key=lambda line: -float(line.split()[0]))))
        references.append(" ".join(said) + "\n")
    (folder / "lists").write_text("\n".join(lists))
    (folder / "ref").write_text("".join(references))
    return folder


def answer(capfdbinary, *arguments, code=0):
    capfdbinary.readouterr()
    assert run(["rescore", *map(str, arguments)]) == code
    printed = capfdbinary.readouterr()
    return printed.out.decode(), printed.err.decode()


@pytest.fixture
def asked(files):
    return [files / "lists", "--format", "srilm", "-m", files / "model.npz"]


def distance(one, other):
    """Return the edit distance by plain recursion."""
    if not one or not other:
        return len(one) + len(other)
    same = distance(one[1:], other[1:]) if one[0] == other[0] else math.inf
    return min(same, 1 + min(distance(one[1:], other), distance(one, other[1:]), distance(one[1:], other[1:])))


def test_error_rates_agree_with_a_recursive_edit_distance(asked, files, capfdbinary):
    found = json.loads(answer(capfdbinary, *asked, "--ref", files / "ref", "--json")[0])
    lists, _ = answer(capfdbinary, *asked, "--json")
    references = (files / "ref").read_text().splitlines()
    sums = {"incoming": 0, "oracle": 0, "chosen": 0}
    for line, said in zip(lists.splitlines(), references, strict=True):
        ranked = json.loads(line)["candidates"]
        errors = [distance(said.split(), each["text"].split()) for each in ranked]
        sums["incoming"] += errors[[each["rank"] for each in ranked].index(1)]
        sums["oracle"] += min(errors)
        sums["chosen"] += errors[0]
    words = len(" ".join(references).split())
    for name, errors in sums.items():
        assert found[name]["word_errors"] == errors
        assert found[name]["word_error_rate"] == errors / words
    assert (found["lists"], found["candidates"], found["words"]) == (60, 480, words)
    assert found["oracle"]["word_errors"] < found["chosen"]["word_errors"] != found["incoming"]["word_errors"]


def test_a_table_is_printed_unless_lists_are_requested(asked, files, capfdbinary):
    table, said = answer(capfdbinary, *asked, "--ref", files / "ref")
    rows = table.splitlines()
    assert [row[:12].strip() for row in rows[1:]] == ["as they came", "oracle", "chosen"]
    assert "60 lists, 480 candidates" in said
    best, said = answer(capfdbinary, *asked, "--ref", files / "ref", "--output", "best")
    assert len(best.splitlines()) == 60
    assert table in said
    assert best == answer(capfdbinary, *asked, "--output", "best")[0]
    objects, said = answer(capfdbinary, *asked, "--ref", files / "ref", "--output", "ranked", "--json")
    assert table in said
    first = json.loads(objects.splitlines()[0])
    assert sum(each["word_errors"] for each in first["candidates"]) > 0
    assert first["reference"]["words"] == len((files / "ref").read_text().splitlines()[0].split())


@pytest.mark.parametrize("mix", [[], ["other.npz"], ["other.npz:0.2"]])
def test_the_printed_command_gives_the_reported_error_rates(mix, asked, files, capfdbinary):
    options = [word for name in mix for word in ("--mix", files / name)]
    command, said = answer(capfdbinary, *asked, "--ref", files / "ref", "--tune", *options)
    assert command.count("\n") == 1
    words = shlex.split(command)
    assert words[:3] == ["rnnlm", "rescore", "TEST"]
    assert ("--mix" in words) == bool(mix)
    words[2] = str(files / "lists")
    reached, _ = answer(capfdbinary, *words[2:], "--ref", files / "ref", "--json")
    found = json.loads(answer(capfdbinary, *asked, "--ref", files / "ref", "--tune", *options, "--json")[0])
    assert json.loads(reached)["chosen"] == found["chosen"]
    assert found["command"] == command.strip()
    assert found["chosen"]["word_errors"] < found["before"]["word_errors"]
    assert f"{found['chosen']['word_errors']:,}" in said
    assert [part["model"] for part in found["mix"]] == [str(files / name.partition(":")[0]) for name in mix]
    if mix == ["other.npz:0.2"]:
        before, _ = answer(capfdbinary, *asked, "--ref", files / "ref", *options, "--json")
        assert json.loads(before)["chosen"] == found["before"]


def test_tuning_starts_at_the_given_weights(asked, files, capfdbinary):
    given = ["--lm-weight", "0.3", "--word-penalty", "-0.5", "--oov-penalty", "-2", "--old-lm-weight", "0.1"]
    rates, _ = answer(capfdbinary, *asked, "--ref", files / "ref", *given, "--json")
    found = json.loads(answer(capfdbinary, *asked, "--ref", files / "ref", *given, "--tune", "--json")[0])
    assert found["before"] == json.loads(rates)["chosen"]
    assert found["chosen"]["word_errors"] <= found["before"]["word_errors"]


def test_tuning_minimises_the_given_measure(asked, files, capfdbinary):
    found = {
        measure: json.loads(
            answer(capfdbinary, *asked, "--ref", files / "ref", "--tune", "--measure", measure, "--json")[0]
        )["chosen"]
        for measure in ("words", "characters")
    }
    assert found["words"]["word_errors"] <= found["characters"]["word_errors"]
    assert found["characters"]["character_errors"] <= found["words"]["character_errors"]
    assert found["words"] != found["characters"]


def test_the_python_api_finds_the_same_weights(asked, files, capfdbinary):
    told = json.loads(answer(capfdbinary, *asked, "--ref", files / "ref", "--tune", "--json")[0])
    model = rnnlm.load(files / "model.npz")
    tuned = rnnlm.tune_rescoring(model, files / "lists", files / "ref", format="srilm")
    assert tuned.options()["lm_weight"] == told["lm_weight"]
    assert tuned.options()["word_penalty"] == told["word_penalty_log10"]
    assert tuned.after.chosen.word_errors == told["chosen"]["word_errors"]
    ranked = list(model.rescore(files / "lists", "srilm", **tuned.options()))
    printed, _ = answer(capfdbinary, files / "lists", *shlex.split(told["command"])[3:], "--json")
    assert [each.best for each in ranked] == [json.loads(line)["best"] for line in printed.splitlines()]
    assert ranked[0].candidates[0].total == json.loads(printed.splitlines()[0])["candidates"][0]["total_log10"]
    with pytest.raises(rnnlm.RnnlmError, match="measure is 'letters'"):
        rnnlm.tune_rescoring(model, files / "lists", files / "ref", format="srilm", measure="letters")


def test_without_incoming_scores_lm_weight_stays_one():
    model = new_model(1)
    lists = [["the cat sat on", "a cat", "zebra sat"], ["dog ran", "dog ran ran ran", "a zebra"]]
    tuned = rnnlm.tune_rescoring(model, lists, ["the cat sat on", "dog ran ran ran"])
    assert tuned.options()["lm_weight"] == 1
    assert tuned.after.chosen.word_errors == 0
    assert tuned.options()["word_penalty"] > 0


@pytest.mark.parametrize(
    ("format_name", "ref", "message"),
    [
        ("srilm", "a\n" * 59, "has 59 references, and there are more lists"),
        ("srilm", "a\n" * 61, "has 61 references for 60 lists"),
        ("kaldi", "u1 a\n", "no reference with the id 'u2'"),
        ("json", '{"id": "u1", "text": "a"}\n', "no reference with the id 'u2'"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--tune"], ["--output", "best"]])
def test_references_that_do_not_match_the_lists_are_refused(
    format_name, ref, message, more, files, tmp_path, capfdbinary
):
    lists = {
        "srilm": (files / "lists").read_text(),
        "kaldi": "u1-1 the cat\nu1-2 a cat\nu2-1 a\n",
        "json": "".join(json.dumps({"id": u, "hypotheses": [{"text": "a cat"}]}) + "\n" for u in ("u1", "u2")),
    }
    (tmp_path / "lists").write_text(lists[format_name])
    (tmp_path / "ref").write_text(ref)
    asked = [tmp_path / "lists", "--format", format_name, "-m", files / "model.npz", "--ref", tmp_path / "ref"]
    _, said = answer(capfdbinary, *asked, *more, code=1)
    assert message in said
    assert "Traceback" not in said


def test_incompatible_options_are_refused(asked, files, capfdbinary):
    for options, message in [
        (["--tune"], "--tune counts errors: give references as --ref REF"),
        (["--output", "errors"], "--output errors counts errors"),
        (["--ref", files / "ref", "--measure", "words"], "--measure is for --tune"),
        (["--ref", files / "ref", "--tune", "--output", "best"], "leave out --output"),
        (["--mix", files / "other.npz"], "has no weight"),
        (["--ref", "-", "-"], "both standard input"),
    ]:
        _, said = answer(capfdbinary, *asked, *options, code=2)
        assert message in said
    (files / "empty").write_text("")
    _, said = answer(capfdbinary, files / "empty", "-m", files / "model.npz", "--ref", files / "ref", "--tune", code=1)
    assert "There are no lists" in said


def test_several_files_and_folders_of_espnet_are_read(files, tmp_path, capfdbinary):
    for place, texts in enumerate([["the cat sat", "a dog"], ["the cat sad", "a dog ran"]], 1):
        folder = tmp_path / "exp" / f"{place}best_recog"
        folder.mkdir(parents=True)
        (folder / "text").write_text("".join(f"u{n} {text}\n" for n, text in enumerate(texts)))
        (folder / "score").write_text("".join(f"u{n} tensor(-{place}.5)\n" for n in range(2)))
    (tmp_path / "ref").write_text("u1 a dog ran\nu0 the cat sat\n")
    asked = [tmp_path / "exp", "--format", "espnet", "-m", files / "model.npz"]
    best, _ = answer(capfdbinary, *asked, "--output", "best", "--lm-weight", "0")
    assert best == "u0 the cat sat\nu1 a dog\n"
    rates = json.loads(answer(capfdbinary, *asked, "--ref", tmp_path / "ref", "--lm-weight", "0", "--json")[0])
    assert (rates["chosen"]["word_errors"], rates["oracle"]["word_errors"]) == (1, 0)
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"the {name} cat\na cat\n")
    both, _ = answer(capfdbinary, tmp_path / "one", tmp_path / "two", "-m", files / "model.npz", "--output", "best")
    assert len(both.splitlines()) == 2


def test_json_is_answered_line_by_line(files, tmp_path, capfdbinary):
    lines = [{"id": i, "hypotheses": [{"text": "the cat", "score": -1}, {"text": "a cat", "score": -9}]} for i in "ab"]
    (tmp_path / "lists").write_text("".join(json.dumps(each) + "\n" for each in lines))
    out, _ = answer(
        capfdbinary, tmp_path / "lists", "--format", "json", "-m", files / "model.npz", "--lm-weight", "0.01"
    )
    found = [json.loads(line) for line in out.splitlines()]
    assert [each["id"] for each in found] == ["a", "b"]
    assert found[0]["hypotheses"][0]["text"] == "the cat"
    assert found[0]["hypotheses"][0]["score"] == -1
    assert found[0]["hypotheses"][0]["total_nats"] > found[0]["hypotheses"][1]["total_nats"]


def test_lowercase_ignores_case_in_error_rates(files, tmp_path, capfdbinary):
    (tmp_path / "lists").write_text("The CAT sat\nthe dog sat\n")
    (tmp_path / "ref").write_text("the cat SAT\n")
    asked = [tmp_path / "lists", "-m", files / "model.npz", "--ref", tmp_path / "ref", "--json"]
    with_case = json.loads(answer(capfdbinary, *asked)[0])
    without = json.loads(answer(capfdbinary, *asked, "--lowercase")[0])
    assert with_case["incoming"]["word_errors"] == 3
    assert without["incoming"]["word_errors"] == 0
    command, _ = answer(capfdbinary, *asked[:-1], "--lowercase", "--tune")
    assert command.strip().endswith(" --lowercase")
