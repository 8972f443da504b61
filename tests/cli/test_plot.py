"""`rnnlm plot` draws pictures and character charts of the right numbers, and reports what is missing."""

import json
import math
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from rnnlm import LanguageModel
from rnnlm.cli import run
from rnnlm.cli.character_charts import MARKS
from rnnlm.cli.tables import display_width
from tests.cli.event_reader import events, read_scalars

ROOT = Path(__file__).parents[2]
SENTENCES = ["我 昨天 上学 迟到 了 ， 老师 批评 了 我 。", "他 的 手机 坏 了 ， 打算 买 一部 新 手机 。", "a $5 _b ."]
SMALL = ["--hidden-size", "6", "--embedding-size", "5", "--bptt", "8", "--batch-size", "4", "--threads", "1"]
needs_matplotlib = pytest.mark.skipif(not find_spec("matplotlib"), reason="matplotlib is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A text, models of it and their histories."""
    folder = tmp_path_factory.mktemp("plot")
    text = folder / "text.txt"
    text.write_text("\n".join(SENTENCES * 20) + "\n", encoding="utf-8")
    for name, options in {
        "words": ["--epochs", "2"],
        "onehot": ["--epochs", "1", "--embedding-size", "0", "--cell", "rnn"],
        "chars": ["--epochs", "1", "--level", "char"],
        "stream": ["--epochs", "1", "--context", "stream"],
        "both": ["--epochs", "1", "--bidirectional"],
    }.items():
        files = ["-o", str(folder / f"{name}.npz"), "--history", str(folder / f"_{name}.jsonl")]
        assert run(["train", str(text), *files, *SMALL, *options]) == 0
    assert run(["ngram", "train", str(text), "-o", str(folder / "ngram.npz")]) == 0
    return folder


@pytest.fixture
def there(folder, monkeypatch):
    """The folder with the models as the current folder, in a terminal of 80 columns."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    return folder


def answer(capsys, *arguments):
    capsys.readouterr()
    assert run(["plot", *arguments]) == 0
    return capsys.readouterr().out


def refusal(capsys, *arguments, code=1):
    capsys.readouterr()
    assert run(["plot", *arguments]) == code
    printed = capsys.readouterr()
    assert not printed.out
    return printed.err


# --- learning curves --------------------------------------------------------------------------------------------------


def test_a_chart_has_four_panels_and_the_best_evaluation(there, capsys):
    printed = answer(capsys, "_words.jsonl")
    for title in ("loss (nats per token)", "learning rate", "gradient norm", "tokens/s"):
        assert title in printed
    rows = [json.loads(line) for line in (there / "_words.jsonl").read_text().splitlines()]
    best = min(row["valid_nats_per_token"] for row in rows)
    assert f"{best:.4f}" in printed
    assert all(display_width(line) <= 80 for line in printed.splitlines())
    assert "\x1b" not in printed


def test_several_histories_get_different_names(there, capsys):
    printed = answer(capsys, "_words.jsonl", "_chars.jsonl", "--x", "epoch", "--perplexity")
    for mark, name in zip(MARKS, ["train _words", "valid _words", "train _chars", "valid _chars"], strict=False):
        assert f"{mark} {name}.jsonl" in printed
    assert "perplexity" in printed


def test_a_chart_is_as_wide_as_the_terminal(there, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    assert max(map(display_width, answer(capsys, "_words.jsonl").splitlines()[:-2])) <= 50


def test_json_has_the_numbers_of_the_history(there, capsys):
    (line,) = answer(capsys, "_words.jsonl", "--json", "--perplexity").splitlines()
    found = json.loads(line)
    rows = [json.loads(line) for line in (there / "_words.jsonl").read_text().splitlines()]
    assert found.pop("history") == "_words.jsonl"
    for key in rows[0]:
        assert found[key] == [row[key] for row in rows]
    assert found["valid_perplexity"] == pytest.approx([math.exp(row["valid_nats_per_token"]) for row in rows])


@needs_matplotlib
@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_curves_are_drawn_in_every_format(kind, there, tmp_path, capsys):
    path = tmp_path / f"a.{kind}"
    assert answer(capsys, "_words.jsonl", "_chars.jsonl", "-o", str(path)) == ""
    assert path.stat().st_size > 5000


@needs_matplotlib
def test_a_picture_has_the_curves_and_the_names_of_the_histories(there):
    from rnnlm.lab.learning_curves import read
    from rnnlm.plots.learning_curves import draw

    names = ["_words.jsonl", "_chars.jsonl", "$x$.jsonl"]
    histories = []
    for name, path in zip(names, ["_words.jsonl", "_chars.jsonl", "_chars.jsonl"], strict=True):
        with open(path, "rb") as file:
            histories.append(read(name, file))
    figure = draw(histories, "epoch")
    loss = figure.axes[0]
    assert len(loss.lines) == 6
    assert loss.lines[1].get_ydata().tolist() == histories[0].points("epoch", "valid_nats_per_token")[1].tolist()
    shown = [text.get_text().replace(r"\$", "$") for text in figure.legends[0].get_texts()]
    assert shown == ["train", "valid", *names]
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert not any(axes.get_tightbbox().overlaps(legend) for axes in figure.axes)


def test_damage_in_a_history_is_reported_and_the_rest_is_drawn(there, tmp_path, capsys):
    lines = (there / "_words.jsonl").read_bytes().splitlines(keepends=True)
    path = tmp_path / "torn.jsonl"
    path.write_bytes(b"".join([*lines[:6], *lines[3:5]]) + lines[0][:20])
    assert run(["plot", str(path), "--json"]) == 0
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)["step"]) == 5
    assert "go back" in printed.err
    assert "not complete" in printed.err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("words.npz", "is a checkpoint"),
        ("text.txt", "not an object of JSON"),
        ("missing.jsonl", "cannot be read"),
        (".", "cannot be read"),
        ("/dev/null", "is empty"),
    ],
)
def test_other_files_are_refused_as_histories_in_one_sentence(name, words, there, capsys):
    said = refusal(capsys, name)
    assert words in said
    assert said.count("\n") == 1
    assert "rnnlm train --history FILE" in said


def test_a_history_without_seconds_cannot_be_drawn_over_time(there, capsys):
    assert "--x step" in refusal(capsys, "_words.jsonl", "--x", "seconds")


def test_a_history_can_come_from_stdin(there):
    with open("_words.jsonl", "rb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "rnnlm", "plot", "-", "--json"],
            stdin=file, capture_output=True, check=True, env={"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    assert json.loads(done.stdout)["history"] == "stdin"


# --- surprise ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["words", "chars", "stream", "onehot", "ngram"])
def test_surprise_is_the_negative_binary_logarithm_of_the_probability(model, there, capsys):
    text = "我 昨天 上学 x"
    found = json.loads(answer(capsys, "--surprise", text, "-m", f"{model}.npz", "--json"))
    loaded = LanguageModel.load(f"{model}.npz")
    tokens = [each["token"] for each in found["tokens"]]
    assert tokens[: len(loaded.tokens(text))] == loaded.tokens(text)
    (scored,) = loaded.score([text])
    expected = (-scored.log_probabilities / np.log(2))[: len(tokens)]
    assert [each["surprise_bits"] for each in found["tokens"]] == pytest.approx(expected.tolist(), rel=1e-4)
    assert found["bits_per_token"] == pytest.approx(expected.mean(), rel=1e-4)


@pytest.mark.parametrize("model", ["chars", "stream"])
def test_in_a_stream_a_line_depends_on_the_line_before(model, there, capsys, monkeypatch):
    text = "我 昨天\n上学 迟到"
    both = json.loads(answer(capsys, "--surprise", text, "-m", f"{model}.npz", "--json"))["tokens"]
    monkeypatch.setattr("rnnlm.inference.scoring.WINDOW", 1)  # the same as token by token
    assert json.loads(answer(capsys, "--surprise", text, "-m", f"{model}.npz", "--json"))["tokens"] == [
        {"token": each["token"], "surprise_bits": pytest.approx(each["surprise_bits"], rel=1e-4)} for each in both
    ]
    alone = json.loads(answer(capsys, "--surprise", "上学 迟到", "-m", f"{model}.npz", "--json"))["tokens"]
    assert both[-1]["token"] == alone[-1]["token"]
    assert [each["surprise_bits"] for each in both[-len(alone) :]] != [each["surprise_bits"] for each in alone]


def test_a_file_is_read_and_a_missing_one_is_reported(there, capsys):
    printed = answer(capsys, "--surprise", "text.txt", "-m", "words.npz")
    assert "The most surprising tokens" in printed
    assert all(display_width(line) <= 80 for line in printed.splitlines())
    assert run(["plot", "--surprise", "missing.txt", "-m", "words.npz"]) == 0
    assert "There is no file missing.txt" in capsys.readouterr().err


def test_every_token_has_its_bar(there, capsys):
    printed = answer(capsys, "--surprise", "我 昨天 上学", "-m", "words.npz")
    assert [line.split()[1] for line in printed.splitlines()[1:5]] == ["我", "昨天", "上学", "</s>"]
    assert printed.count("█") > 40


@needs_matplotlib
@pytest.mark.parametrize(
    ("model", "text"), [("words", "我 昨天 $5 $6 _b"), ("words", "text.txt"), ("chars", "text.txt")]
)
def test_surprise_is_drawn_in_pictures(model, text, there, tmp_path, capsys):
    assert answer(capsys, "--surprise", text, "-m", f"{model}.npz", "-o", str(tmp_path / "a.svg")) == ""
    assert (tmp_path / "a.svg").stat().st_size > 3000


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_text_is_refused(text, there, capsys):
    assert "empty" in refusal(capsys, "--surprise", text, "-m", "words.npz")


# --- the embedding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "vectors"), [("words", "embedding.weight"), ("onehot", "columns of rnn.weight_ih_l0"), ("both", None)]
)
def test_the_embedding_in_json_has_the_vectors_of_the_model(model, vectors, there, capsys):
    found = json.loads(answer(capsys, "--embedding", "-m", f"{model}.npz", "--json", "--tokens", "8"))
    assert vectors in (None, found["vectors"])
    assert [each["token"] for each in found["tokens"]] == LanguageModel.load(f"{model}.npz").vocabulary.tokens[:8]
    assert 0 < sum(found["explained_variance"]) <= 1.0001
    assert found["explained_variance"][0] >= found["explained_variance"][1]


def test_a_note_explains_the_embedding_of_a_character_model(there, capsys):
    printed = answer(capsys, "--embedding", "-m", "onehot.npz")
    assert "columns of rnn.weight_ih_l0" in printed
    assert "% " in printed or "%." in printed
    assert "手机" in printed


@needs_matplotlib
def test_a_picture_of_the_embedding(there, tmp_path, capsys):
    path = tmp_path / "a.svg"
    assert run(["plot", "--embedding", "-m", "words.npz", "-o", str(path)]) == 0
    assert "Of the variance" in capsys.readouterr().err
    assert path.stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--embedding", "-m", "ngram.npz"], "n-gram"),
        (["--surprise", "我", "-m", "both.npz"], "bidirectional"),
        (["--embedding", "-m", "missing.npz"], "missing.npz"),
    ],
)
def test_models_without_an_embedding_are_refused(arguments, words, there, capsys):
    assert words in refusal(capsys, *arguments)


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["_words.jsonl", "--embedding"],
        ["--embedding", "--surprise", "a"],
        ["--embedding", "--x", "epoch"],
        ["--surprise", "a", "--perplexity"],
        ["_words.jsonl", "--tokens", "5"],
        ["_words.jsonl", "--encoding", "gb18030"],
    ],
)
def test_incompatible_options_are_a_usage_error(arguments, there, capsys):
    refusal(capsys, *arguments, code=2)


@needs_matplotlib
@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("a.jpg", ".svg or .pdf"),
        ("missing/a.png", "does not exist"),
        ("-", ".svg or .pdf"),
        ("_words.svg", "would replace"),
    ],
)
def test_an_impossible_picture_is_refused_in_one_sentence(output, words, there, capsys):
    (there / "_words.svg").write_bytes((there / "_words.jsonl").read_bytes())
    name = "_words.svg" if output == "_words.svg" else "_words.jsonl"
    assert words in refusal(capsys, name, "-o", output)


def test_without_matplotlib_a_chart_is_drawn_and_a_picture_is_refused(there, without_matplotlib, capsys):
    for arguments in (["_words.jsonl"], ["--surprise", "我", "-m", "words.npz"], ["--embedding", "-m", "words.npz"]):
        assert "pip install 'rnnlm-cli[plot]'" in refusal(capsys, *arguments, "-o", "a.png")
        assert answer(capsys, *arguments)
    assert not (there / "a.png").exists()


# --- train --tensorboard ----------------------------------------------------------------------------------------------


def test_tensorboard_events_have_the_numbers_of_the_history_and_survive_resuming(there, tmp_path, capsys):
    history, run_folder = tmp_path / "h.jsonl", tmp_path / "runs" / "one"
    arguments = ["train", "text.txt", "-o", str(tmp_path / "m.npz"), *SMALL]
    arguments += ["--history", str(history), "--tensorboard", str(run_folder)]
    assert run([*arguments, "--epochs", "1"]) == 0
    assert run([*arguments, "--epochs", "2", "--resume"]) == 0
    rows = {row["step"]: row for row in map(json.loads, history.read_text().splitlines())}
    paths = sorted(run_folder.iterdir())
    assert len(paths) == 2
    found = {step: scalars for path in paths for step, scalars in read_scalars(path) if scalars}
    assert found.keys() == rows.keys()
    for step, scalars in found.items():
        assert scalars["train/nats_per_token"] == pytest.approx(rows[step]["train_nats_per_token"], rel=1e-6)
        assert scalars["valid/nats_per_token"] == pytest.approx(rows[step]["valid_nats_per_token"], rel=1e-6)
        assert scalars["training/learning_rate"] == pytest.approx(rows[step]["learning_rate"], rel=1e-6)
    assert events(paths[1])[1].step == max(step for step, _ in read_scalars(paths[0])) + 1


@pytest.mark.parametrize("name", ["/", "text.txt/run"])
def test_an_impossible_folder_for_events_is_refused_before_training(name, there, tmp_path, capsys):
    assert run(["train", "text.txt", "-o", str(tmp_path / "m.npz"), *SMALL, "--tensorboard", name]) == 1
    assert "--tensorboard" in capsys.readouterr().err
    assert not (tmp_path / "m.npz").exists()


# --- odd input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["words", "chars"])
@pytest.mark.parametrize(
    "text",
    [
        *(
            "/dev/null",
            "/dev/zero",
            "words.npz",
            "none/x",
            "x\x1b[31m\u202e",
            "9" * 5000,
            "____",
            "a\tb\r\n\nc",
            "$",
            "$$ $",
        ),
        *("😀 👩\u200d🔬 ก \U000e1234", "\u0301", "<s> </s> <unk>", "\\ \\frac{$"),
    ],
)
def test_any_text_is_drawn_or_refused_in_a_sentence(model, text, there, tmp_path, capsys):
    for more in ([], ["--json"], ["-o", str(tmp_path / "a.png")] if find_spec("matplotlib") else []):
        code = run(["plot", "--surprise", text, "-m", f"{model}.npz", *more])
        printed = capsys.readouterr()
        assert code == 0 or printed.err.count("\nError: ") + printed.err.startswith("Error: ") == 1
        assert code == 0 or not printed.out


@pytest.mark.parametrize("count", ["3", "2000"])
def test_any_number_of_tokens_is_drawn(count, there, tmp_path, capsys):
    for more in ([], ["-o", str(tmp_path / "a.png")] if find_spec("matplotlib") else []):
        assert run(["plot", "--embedding", "-m", "words.npz", "--tokens", count, *more]) == 0


@pytest.mark.parametrize("encoding", ["gb18030", "xx", "", "utf-16"])
def test_any_encoding_is_accepted_or_refused(encoding, there, tmp_path, capsys):
    (tmp_path / "g.txt").write_text("我 昨天 上学", encoding="gb18030")
    code = run(["plot", "--surprise", str(tmp_path / "g.txt"), "-m", "words.npz", "--encoding", encoding])
    printed = capsys.readouterr()
    assert (code, "昨天" in printed.out) == ((0, True) if encoding == "gb18030" else (1, False))
