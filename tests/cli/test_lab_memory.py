"""`rnnlm lab memory`: accuracies of models that it trains or is given, and messages about wrong input."""

import json
from functools import partial
from importlib.util import find_spec

import pytest

from rnnlm.cli import run as run_command
from rnnlm.cli.lab import memory
from rnnlm.cli.tables import display_width
from rnnlm.errors import CheckpointError, CorpusError, DirectionError, RnnlmError
from rnnlm.lab.agreement import sentences, written
from rnnlm.lab.agreement_words import DISTANCES, GRAMMARS
from rnnlm.lab.memory import EPOCHS
from tests.cli import lab_commands
from tests.cli.lab_commands import failure, objects
from tests.cli.screen import screen_of

MODELS = ["2-gram", "3-gram", "4-gram", "5-gram", "RNN", "GRU", "LSTM"]
KEYS = ["model", "group", "distance", "pairs", "accuracy"]
PAIRS = "she fell .\ther fell .\tcase\n\nhe lost his bag .\the lost her bag .\n"


run = partial(lab_commands.run, "memory")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An n-gram model of the grammar's sentences in each language, a bidirectional network, and a file of pairs."""
    folder = tmp_path_factory.mktemp("memory")
    for language, level in (("zh", "char"), ("en", "word")):
        grammar, path = GRAMMARS[language], folder / f"{language}.txt"
        lines = [written(words, grammar.space) for words in sentences(grammar, 500)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        options = ["--level", level, "--context", "sentence", "--order", "3", "--threads", "1"]
        assert run_command(["ngram", "train", str(path), "-o", str(folder / f"{language}.npz"), *options]) == 0
    small = ["--hidden-size", "4", "--embedding-size", "4", "--epochs", "0.1", "--threads", "1", "--level", "char"]
    both = ["train", str(folder / "zh.txt"), "-o", str(folder / "both.npz"), "--bidirectional", *small]
    assert run_command(both) == 0
    (folder / "pairs.tsv").write_text(PAIRS, encoding="utf-8")
    return folder


# --- models that it trains


@pytest.fixture(scope="module")
def trained(folder):
    """A run that trains, with a picture if matplotlib is installed."""
    plot = ["--plot", folder / "trained.png"] if find_spec("matplotlib") else []
    return run("--epochs", 1, "--json", *plot)


def test_every_model_is_tested_at_every_distance(trained):
    found = objects(trained)
    assert [list(each) for each in found] == [KEYS] * len(found)
    assert [(each["model"], each["distance"]) for each in found] == [(m, d) for m in MODELS for d in range(2, 21)]
    accuracy = {(each["model"], each["distance"]): each["accuracy"] for each in found}
    assert {accuracy["3-gram", distance] for distance in range(3, 21)} == {0.5}
    assert accuracy["3-gram", 2] > 0.9
    assert [name for name in MODELS if f"Training: {name}." in trained.stderr] == MODELS


def test_table_and_explanation_fit_80_columns(tmp_path):
    shown = screen_of(["lab", "memory", "--language", "en", "--epochs", "1"], 80, tmp_path)
    assert shown.too_long == []
    rows = shown.rows()
    start = next(place for place, row in enumerate(rows) if row.split()[:2] == ["distance", "pairs"])
    assert rows[start].split() == ["distance", "pairs", *MODELS]
    assert [row.split()[0] for row in rows[start + 1 : start + 20]] == [str(distance) for distance in range(2, 21)]
    text = " ".join(rows[start + 20 :])
    right, wrong = (next(row for row in rows if row.startswith(name)).split()[1:] for name in ("right", "wrong"))
    ((mine, yours),) = [(a, b) for a, b in zip(right, wrong, strict=True) if a != b]
    assert f'decides that "{mine}" is right and "{yours}" wrong' in text
    assert "Chance is 50%" in text


def test_plot_writes_a_picture(folder, trained):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    said = {"trained": trained.stderr}
    for name, arguments in {
        "models": ["-m", folder / "zh.npz", "-m", folder / "en.npz"],
        "groups": ["-m", folder / "en.npz", "--pairs", folder / "pairs.tsv"],
    }.items():
        said[name] = run(*arguments, "--plot", folder / f"{name}.png").stderr
    for name, stderr in said.items():
        picture = folder / f"{name}.png"
        assert f"Saved {picture}." in stderr
        assert picture.read_bytes().startswith(b"\x89PNG")


# --- given models


@pytest.mark.parametrize(
    ("language", "kinds"), [("zh", "pronoun measure closing"), ("en", "pronoun possessive verb's")]
)
def test_a_given_model_is_tested_in_its_own_language(folder, language, kinds):
    result = run("-m", folder / f"{language}.npz", "--json")
    found = objects(result)
    assert [list(each) for each in found] == [KEYS] * len(found)
    assert {each["model"] for each in found} == {f"{language}.npz"}
    groups = [each["group"] for each in found]
    assert groups[-2:] == ["distance 8 and more", "all"]
    assert set(kinds.split()) <= {group.split()[0].rstrip(",") for group in groups}
    assert found[-1]["pairs"] == sum(each["pairs"] for each in found[:-2]) in (600, 601)
    assert memory.LANGUAGES[language] in result.stderr
    asked = run("-m", folder / f"{language}.npz", "--json", "--language", language)
    assert asked.stdout == result.stdout
    assert "--language" not in asked.stderr


def test_several_models_are_compared(folder):
    result = run("-m", folder / "zh.npz", "-m", folder / "en.npz", "--language", "zh")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["agreement", "pairs", "zh.npz", "en.npz"]
    assert all(display_width(line) <= 80 for line in lines[: lines.index("")])
    assert [line.split()[-1] for line in lines[1 : lines.index("")]] == ["50.0%"] * (lines.index("") - 1), "all unknown"
    assert "600 of the 600 pairs have words that en.npz does not know" in result.stderr
    told = next(line for line in result.stderr.splitlines() if "zh.npz" in line)
    assert not told.startswith("Warning: 600"), "it has seen most of the characters"


def test_models_with_equal_file_names_get_different_names(folder, tmp_path):
    (tmp_path / "en.npz").write_bytes((folder / "en.npz").read_bytes())
    found = objects(run("-m", folder / "en.npz", "-m", tmp_path / "en.npz", "--json", "--pairs", folder / "pairs.tsv"))
    assert [each["model"] for each in found if each["group"] == "all"] == [
        str(folder / "en.npz"),
        str(tmp_path / "en.npz"),
    ]


def test_a_bidirectional_model_is_refused_in_one_sentence(folder):
    assert "bidirectional" in failure(DirectionError, "memory", "-m", folder / "both.npz")
    assert "does not exist" in failure(CheckpointError, "memory", "-m", folder / "none.npz")


# --- given pairs


def test_pairs_are_read_from_lines_with_tabs_and_groups(folder):
    result = run("-m", folder / "en.npz", "--pairs", folder / "pairs.tsv", "--json")
    assert [(each["group"], each["distance"], each["pairs"]) for each in objects(result)] == [
        ("case", None, 1),
        ("all", None, 2),
    ]
    shown = run("-m", folder / "en.npz", "--pairs", "-", stdin=PAIRS).stdout
    assert shown.splitlines()[0].split() == ["group", "pairs", "en.npz"]


def test_pairs_are_read_from_files_of_blimp(folder, tmp_path):
    path = tmp_path / "blimp.jsonl"
    pairs = [("The key was gone.", "The keys was gone.", "a"), ("I lost my bag.", "I lost your bag.", "b")]
    lines = [{"sentence_good": good, "sentence_bad": bad, "UID": uid, "pairID": "1"} for good, bad, uid in pairs]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    found = objects(run("-m", folder / "en.npz", "--pairs", path, "--json"))
    assert [(each["group"], each["pairs"]) for each in found] == [("a", 1), ("b", 1), ("all", 2)]
    assert found[2]["accuracy"] == (found[0]["accuracy"] + found[1]["accuracy"]) / 2


def test_pairs_are_read_in_other_encodings(folder, tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_bytes("我很喜欢我的书包。\t我很喜欢你的书包。\r\n他哭了。\t他了哭。\r\n".encode("gb18030"))
    for options in ([], ["--encoding", "gb18030"]):
        (found,) = objects(run("-m", folder / "zh.npz", "--pairs", path, "--json", *options))
        assert found["pairs"] == 2
    path.write_bytes(b"a\tb\n\xff\xff\xff\tc\n" * 50)
    assert "--encoding" in failure(
        CorpusError, "memory", "-m", folder / "zh.npz", "--pairs", path, "--encoding", "utf-8"
    )


def test_unknown_words_are_named(folder):
    pairs = "she xyzzy .\ther xyzzy .\nshe fell .\ther fell .\n"
    said = run("-m", folder / "en.npz", "--pairs", "-", stdin=pairs).stderr
    assert "1 of the 2 pairs have words that en.npz does not know" in said
    assert "xyzzy" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\tb\nonly one\n", "Line 2 of standard input has no tab: 'only one'; expected a right and a wrong sentence"),
        ('{"sentence_good": "a"}\n', "Line 1 of standard input is an object without sentence_bad; expected"),
        ("\n \n", "standard input has no pairs of sentences"),
        ("", "standard input has no pairs of sentences"),
    ],
)
def test_lines_that_are_not_pairs_are_refused_in_one_sentence(folder, text, said):
    assert said in failure(CorpusError, "memory", "-m", folder / "en.npz", "--pairs", "-", stdin=text)


def test_a_missing_file_is_refused_in_one_sentence(folder, tmp_path):
    assert "does not exist" in failure(CorpusError, "memory", "-m", folder / "en.npz", "--pairs", tmp_path / "none.tsv")
    assert "directory" in run("-m", folder / "en.npz", "--pairs", tmp_path, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "none.npz", "--epochs", "3"], "--epochs cannot be combined with --model"),
        (["-m", "none.npz", "--seed", "3"], "--seed cannot be combined with --model"),
        (["--pairs", "pairs.tsv"], "--pairs needs --model"),
        (["-m", "none.npz", "--pairs", "p.tsv", "--language", "en"], "leave it out with --pairs"),
        (["-m", "none.npz", "--encoding", "utf-8"], "--encoding needs --pairs"),
        (["--epochs", "0"], "--epochs"),
        (["--language", "fr"], "--language"),
    ],
)
def test_incompatible_options_are_a_usage_error(arguments, said):
    result = run(*arguments, code=2)
    assert said in result.stderr
    assert result.stdout == ""


def test_a_picture_never_replaces_a_model_or_pairs(folder, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    model, pairs = tmp_path / "model.png", tmp_path / "pairs.png"
    model.write_bytes((folder / "en.npz").read_bytes())
    pairs.write_bytes((folder / "pairs.tsv").read_bytes())
    for picture in (model, pairs):
        before = picture.read_bytes()
        assert str(picture) in failure(RnnlmError, "memory", "-m", model, "--pairs", pairs, "--plot", picture)
        assert picture.read_bytes() == before


def test_the_command_line_has_the_constants_of_the_laboratory():
    assert set(memory.LANGUAGES) == set(DISTANCES) == set(GRAMMARS)
    assert memory.EPOCHS == EPOCHS
