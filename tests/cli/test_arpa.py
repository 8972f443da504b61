"""An ARPA file used as a model: by every command that takes -m, and by import."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from rnnlm import cli
from rnnlm.language_model import LanguageModel

LINES = ["the town of Sandry", "the town sleeps .", "[noise] the @-@ sleeps", "a b@@ c x-y (CH3)2 ▁of 迟到 了"]
NAMES = ["m.arpa", "m.arpa.gz", "bom.arpa", "imported.npz"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as a checkpoint, as ARPA files and imported. Tests must not change the files."""
    folder = tmp_path_factory.mktemp("arpa")
    (folder / "text.txt").write_text("\n".join(LINES * 20) + "\n", encoding="utf-8")
    (folder / "new.txt").write_text("the town of c\n<unk> town\n<s> unseen town </s>\n", encoding="utf-8")
    train = ["ngram", "train", str(folder / "text.txt"), "--level", "token", "--order", "6"]
    assert cli.run([*train, "-o", str(folder / "m.npz"), "--arpa", str(folder / "m.arpa")]) == 0
    content = (folder / "m.arpa").read_bytes()
    (folder / "m.arpa.gz").write_bytes(gzip.compress(content))
    (folder / "bom.arpa").write_bytes(b"\xef\xbb\xbf" + content)
    assert cli.run(["import", str(folder / "m.arpa.gz"), "-o", str(folder / "imported.npz")]) == 0
    return folder


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "--tokens", "--json", "{}/new.txt"],
        ["eval", "{}/new.txt", "--json"],
        ["predict", "the town", "--json", "-k", "20"],
        ["sample", "--seed", "1", "--count", "3", "--prompt", "the"],
        ["sample", "--beam", "3"],
        ["fill", "the ____ of Sandry", "--json"],
        ["plot", "--surprise", "the town of c", "--json"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]) if isinstance(arguments, list) else None,
)
def test_every_command_answers_as_for_the_checkpoint_of_the_same_model(
    folder: Path, name: str, arguments: list[str], rnnlm
):
    given = [each.format(folder) for each in arguments]
    expected = rnnlm(*given, "-m", folder / "m.npz").out
    found = rnnlm(*given, "-m", folder / name).out
    assert expected.strip()
    if "--json" not in given:
        assert found == expected
    for ours, theirs in zip(found.splitlines(), expected.splitlines(), strict=True):
        if "--json" in given:
            assert_close(json.loads(ours), json.loads(theirs))


def assert_close(found: object, expected: object) -> None:
    """Assert that two JSON values are equal, numbers up to rounding."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-7)
    elif isinstance(expected, dict):
        assert isinstance(found, dict)
        assert found.keys() == expected.keys()
        for key in expected.keys() - {"model", "trained_on_this_text"}:  # which an ARPA file does not hold
            assert_close(found[key], expected[key])
    elif isinstance(expected, list):
        assert isinstance(found, list)
        for ours, theirs in zip(found, expected, strict=True):
            assert_close(ours, theirs)
    else:
        assert found == expected


def test_rescore_ranks_with_an_arpa_file(folder: Path, tmp_path: Path, rnnlm):
    (tmp_path / "list.txt").write_text("town the of Sandry\nthe town of Sandry\n", encoding="utf-8")
    answers = [
        rnnlm("rescore", tmp_path / "list.txt", "-m", folder / name).out for name in ("m.npz", "m.arpa", "imported.npz")
    ]
    assert answers[0].strip()
    assert len(set(answers)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_tokens_are_separated_by_spaces(folder: Path, name: str):
    model = LanguageModel.load(folder / name)
    assert (model.level, model.context, model.kind) == ("token", "sentence", "ngram")
    for line in LINES:
        assert model.tokens(line) == line.split()
        assert model.tokenizer.join(model.tokens(line)) == line
        assert model.unknown_tokens(line) == []


@pytest.mark.parametrize("name", ["m.arpa", "m.arpa.gz", "imported.npz"])
def test_scores_agree_with_kenlm(folder: Path, name: str, rnnlm):
    kenlm = pytest.importorskip("kenlm")
    config = kenlm.Config()
    config.show_progress = False
    theirs = kenlm.Model(str(folder / "m.arpa"), config)
    text = folder / "new.txt"
    lines = text.read_text(encoding="utf-8").splitlines()
    answers = rnnlm("score", text, "-m", folder / name, "--base", "10", "--json").out.splitlines()
    for line, answer in zip(lines, map(json.loads, answers), strict=True):
        assert answer["logprob_log10"] == pytest.approx(
            theirs.score(line.removeprefix("<s> ").removesuffix(" </s>")), abs=1e-5
        )


def test_info_says_that_the_file_is_an_arpa_file(folder: Path, rnnlm):
    facts = rnnlm("info", folder / "m.arpa", "--json").json
    assert (facts["format"], facts["kind"], facts["order"], facts["level"]) == ("ARPA", "ngram", 6, "token")
    assert facts["bytes"] == (folder / "m.arpa").stat().st_size
    imported = rnnlm("info", folder / "imported.npz", "--json").json
    assert (imported["format"], imported["training"]["imported"]) == ("rnnlm 1", "ARPA")
    assert imported["ngrams"] == facts["ngrams"]
    for name in ("m.arpa", "imported.npz"):
        assert "imported (ARPA)" in rnnlm("info", folder / name).out


def test_arpa_files_can_be_mixed_and_compared(folder: Path, rnnlm):
    alone = rnnlm("eval", folder / "new.txt", "-m", folder / "m.npz", "--json").json
    for main in ("m.arpa", "m.npz", "imported.npz"):
        for other in ("m.arpa.gz", "imported.npz"):
            beside = ["--mix", f"{folder / other}:0.3", "--baseline", folder / other]
            found = rnnlm("eval", folder / "new.txt", "-m", folder / main, *beside, "--json").json
            assert found["logprob_nats"] == pytest.approx(alone["logprob_nats"], rel=1e-6)
            assert found["baselines"][0]["logprob_nats"] == pytest.approx(alone["logprob_nats"], rel=1e-6)


def test_characters_separated_by_spaces_are_tokens(tmp_path: Path, rnnlm):
    (tmp_path / "c.txt").write_text("我 昨 天 上 学\n" * 9, encoding="utf-8")
    train = ["ngram", "train", tmp_path / "c.txt", "--level", "token", "-o", tmp_path / "c.npz"]
    rnnlm(*train, "--arpa", tmp_path / "c.arpa")
    assert "天" in rnnlm("predict", "-m", tmp_path / "c.arpa", "我 昨", "-k", "1").out
    assert rnnlm("sample", "-m", tmp_path / "c.arpa", "--beam", "2").out.splitlines()[0] == "我 昨 天 上 学"


def test_an_exported_character_model_reads_characters(tmp_path: Path, rnnlm):
    """Its tokens include the space, so spaces do not separate tokens."""
    (tmp_path / "c.txt").write_text("a bc\nbc a\n" * 9, encoding="utf-8")
    train = ["ngram", "train", tmp_path / "c.txt", "--level", "char", "--context", "sentence", "-o", tmp_path / "c.npz"]
    rnnlm(*train, "--arpa", tmp_path / "c.arpa")
    expected = rnnlm("score", "-m", tmp_path / "c.npz", "--json", "--text", "a bc").json
    found = rnnlm("score", "-m", tmp_path / "c.arpa", "--json", "--text", "a bc").json
    assert found["logprob_nats"] == pytest.approx(expected["logprob_nats"], rel=1e-6)
    assert (found["oov"], found["tokens"]) == (0, 5)


# --- import -------------------------------------------------------------------------------------------------------


def test_import_names_the_model_after_the_arpa_file(folder: Path, tmp_path: Path, rnnlm):
    for name in ("m.arpa", "m.arpa.gz"):
        path = tmp_path / name
        path.write_bytes((folder / name).read_bytes())
        rnnlm("import", path, "--force")
        assert sorted(each.name for each in tmp_path.iterdir()) == [name, "m.npz"]
        (tmp_path / "m.npz").unlink()
        path.unlink()


@pytest.mark.parametrize(
    ("level", "tokens"), [("word", ["x", "-", "y", "昨天", "上学"]), ("token", ["x", "-y", "昨天上学"])]
)
def test_an_imported_word_model_can_read_text_as_words(
    folder: Path, tmp_path: Path, level: str, tokens: list[str], rnnlm
):
    rnnlm("import", folder / "m.arpa", "-o", tmp_path / "w.npz", "--level", level)
    assert LanguageModel.load(tmp_path / "w.npz").tokens("x -y 昨天上学") == tokens


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--activation", "tanh"], "--activation tanh does not go with it"),
        (["--context", "stream"], "--context stream does not go with it"),
        (["--level", "char"], "not one character"),
        (["--vocabulary", "v.json"], "Leave --vocabulary out"),
    ],
)
def test_options_that_do_not_fit_an_arpa_file_are_refused(
    folder: Path, tmp_path: Path, options: list[str], sentence: str, rnnlm
):
    assert sentence in rnnlm("import", folder / "m.arpa", "-o", tmp_path / "m.npz", *options, code=1).err
    assert not (tmp_path / "m.npz").exists()


def test_training_cannot_start_from_an_arpa_file(folder: Path, tmp_path: Path, rnnlm):
    said = rnnlm("train", folder / "text.txt", "--init-from", folder / "m.arpa", "-o", tmp_path / "m.npz", code=1).err
    assert "ARPA file" in said


# --- order 6 ------------------------------------------------------------------------------------------------------


def test_arpa_models_up_to_order_six_can_be_compared_with_a_model(folder: Path, rnnlm):
    arguments = ["eval", folder / "new.txt", "-m", folder / "m.npz", "--baseline", "6"]
    found = rnnlm(*arguments, "--baseline-corpus", folder / "text.txt", "--json").json
    assert [row["order"] for row in found["baselines"]] == [1, 2, 3, 4, 5, 6]
    assert found["baselines"][5]["logprob_nats"] == pytest.approx(found["logprob_nats"], rel=1e-6)


@pytest.mark.parametrize("name", ["m.npz", "m.arpa"])
def test_probabilities_after_any_context_sum_to_one(folder: Path, name: str):
    model = LanguageModel.load(folder / name)
    for length in range(7):
        for line in LINES:
            context = " ".join(line.split()[:length])
            rows, _ = model.require_causal().next_log_probabilities(
                np.concatenate([[0], model.encode(context)])[:, None], model.require_causal().zero_state(1)
            )
            assert math.fsum(np.exp(rows[0])) == pytest.approx(1, abs=1e-6)
