"""`rnnlm train` and what follows it, as a user runs them: exit codes, what is printed where, what is on disk."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rnnlm.cli import run
from rnnlm.language_model import LanguageModel
from rnnlm.storage import checkpoint

SENTENCES = [
    "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。",
    "他 今天 上学 迟到 了 ， 妈妈 批评 了 他 。",
    "我 的 手机 坏 了 ， 我 打算 买 一部 新 手机 。",
    "弟弟 的 书包 坏 了 ， 他 打算 换 一个 新 书包 。",
]
SMALL = ["--hidden-size", "12", "--embedding-size", "6", "--bptt", "8", "--batch-size", "4", "--threads", "1"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A text of a few words that repeats, long enough for a few batches."""
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(SENTENCES * 20) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def model(corpus: Path, tmp_path: Path) -> Path:
    """A word model that has seen the corpus for two epochs."""
    path = tmp_path / "model.npz"
    assert run(["train", str(corpus), "-o", str(path), "--epochs", "2", *SMALL]) == 0
    return path


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that succeeds prints to stdout."""
    capsys.readouterr()
    assert run(list(arguments)) == 0
    return capsys.readouterr().out


def failure(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """What a command that fails with `code` says; nothing goes to stdout and there is no traceback."""
    capsys.readouterr()
    assert run(list(arguments)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert printed.err.strip()
    return printed.err


# --- training ---------------------------------------------------------------------------------------------------


def test_training_says_what_it_does_and_leaves_a_model(corpus, tmp_path, capsys):
    path = tmp_path / "model.npz"
    assert run(["train", str(corpus), "-o", str(path), "--epochs", "2", *SMALL]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    for word in ("Text", "Vocabulary", "100.00 %", "LSTM 1 x 12", "parameters", "perplexity", "A sample:", str(path)):
        assert word in printed.err
    assert checkpoint.read_header(path)["kind"] == "rnn"


def test_more_training_makes_a_better_model(corpus, tmp_path, capsys):
    losses = []
    for epochs in ("1", "30"):
        path = str(tmp_path / f"{epochs}.npz")
        assert run(["train", str(corpus), "-o", path, "--epochs", epochs, *SMALL]) == 0
        losses.append(json.loads(output(capsys, "eval", str(corpus), "-m", path, "--json"))["nats_per_token"])
    assert losses[1] < 0.5 * losses[0]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(corpus, tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, seed in zip(paths, ("1", "1", "2"), strict=True):
        assert run(["train", str(corpus), "-o", str(path), "--epochs", "1", "--seed", seed, *SMALL]) == 0
    a, b, c = (path.read_bytes() for path in paths)
    assert a == b != c


def test_a_history_has_one_object_for_each_evaluation(corpus, tmp_path):
    history = tmp_path / "history.jsonl"
    arguments = ["train", str(corpus), "-o", str(tmp_path / "m"), "--epochs", "3", "--history", str(history), *SMALL]
    assert run(arguments) == 0
    rows = [json.loads(line) for line in history.read_text().splitlines()]
    assert len(rows) >= 3
    assert [row["step"] for row in rows] == sorted({row["step"] for row in rows})
    for row in rows:
        assert set(row) == {
            *("step", "epoch", "seconds", "train_nats_per_token", "valid_nats_per_token"),
            *("learning_rate", "gradient_norm", "tokens_per_second"),
        }


def test_a_configuration_file_holds_options_and_the_command_line_goes_first(corpus, tmp_path, capsys):
    config = tmp_path / "options.toml"
    config.write_text('cell = "gru"\nhidden-size = 7\nnum_layers = 2\n')
    path = str(tmp_path / "m.npz")
    arguments = ["train", str(corpus), "-o", path, "--config", str(config), "--epochs", "1", "--num-layers", "1"]
    assert run(arguments) == 0
    facts = json.loads(output(capsys, "info", path, "--json"))
    assert (facts["cell"], facts["hidden_size"], facts["num_layers"]) == ("gru", 7, 1)


def test_a_misspelt_key_is_refused_with_a_suggestion(corpus, tmp_path, capsys):
    config = tmp_path / "options.toml"
    config.write_text("hiden-size = 7\n")
    message = failure(capsys, 2, "train", str(corpus), "--config", str(config))
    assert "hiden-size" in message
    assert "Did you mean 'hidden-size'?" in message


def test_options_come_from_the_environment(corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RNNLM_TRAIN_HIDDEN_SIZE", "9")
    monkeypatch.setenv("RNNLM_TRAIN_EPOCHS", "1")
    monkeypatch.setenv("RNNLM_MODEL", str(tmp_path / "m.npz"))
    assert run(["train", str(corpus), "-o", str(tmp_path / "m.npz")]) == 0
    assert json.loads(output(capsys, "info", "--json"))["hidden_size"] == 9


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_every_level_and_context_trains_predicts_samples_and_evaluates(level, context, corpus, tmp_path, capsys):
    path = str(tmp_path / "m.npz")
    arguments = ["--level", level, "--context", context, "--epochs", "1", *SMALL]
    assert run(["train", str(corpus), "-o", path, *arguments]) == 0
    assert len(output(capsys, "predict", "我 昨天", "-m", path).splitlines()) == 10
    assert output(capsys, "sample", "-m", path, "--length", "5", "--count", "9", "--seed", "1").strip()
    result = json.loads(output(capsys, "eval", str(corpus), "-m", path, "--json"))
    text = corpus.read_text(encoding="utf-8")
    expected = {"char": len(text), "word": len(text.split()) + len(text.splitlines())}[level]
    assert (result["tokens"], result["characters"], result["oov"]) == (expected, len(text), 0)


@pytest.mark.parametrize(
    "options",
    [
        ["--loss", "mse", "--optimizer", "rmsprop", "--schedule", "plateau"],
        ["--cell", "rnn", "--activation", "relu", "--init", "identity", "--embedding-size", "0"],
        ["--cell", "rnn", "--activation", "identity", "--init", "article", "--optimizer", "sgd", "--clip", "0"],
        ["--cell", "gru", "--num-layers", "2", "--init", "orthogonal", "--optimizer", "adamw", "--bptt", "100000"],
        ["--valid-fraction", "0", "--min-count", "2", "--vocab-size", "20", "--time", "0.5s", "--schedule", "linear"],
    ],
)
def test_squared_error_and_every_other_choice_trains(options, corpus, tmp_path):
    length = [] if "--time" in options else ["--epochs", "1"]
    assert run(["train", str(corpus), "-o", str(tmp_path / "m"), *SMALL, *length, *options]) == 0


# --- resume, init-from ------------------------------------------------------------------------------------------


def test_an_interrupted_run_ends_in_the_same_bytes_as_one_that_was_not(corpus, tmp_path):
    whole, stopped = tmp_path / "whole.npz", tmp_path / "stopped.npz"
    options = ["--epochs", "40", "--dropout", "0.3", *SMALL]
    assert run(["train", str(corpus), "-o", str(whole), *options]) == 0
    command = [sys.executable, "-m", "rnnlm", "train", str(corpus), "-o", str(stopped), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:  # the first evaluation was printed: training is under way
            if "valid" in line and "tokens/s" in line:
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130, said
    assert "--resume" in said
    assert stopped.read_bytes() != whole.read_bytes()
    assert run(["train", str(corpus), "-o", str(stopped), "--resume"]) == 0
    assert stopped.read_bytes() == whole.read_bytes()


def test_sigterm_saves_too(corpus, tmp_path):
    path = tmp_path / "m.npz"
    command = [
        sys.executable,
        "-m",
        "rnnlm",
        "train",
        str(corpus),
        "-o",
        str(path),
        "--time",
        "60s",
        "--dropout",
        "0",
        *SMALL,
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if path.exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert run(["info", str(path)]) == 0


def test_resume_refuses_another_text_and_other_options(corpus, model, capsys):
    before = model.read_bytes()
    arguments = ["train", str(corpus), "-o", str(model), "--resume"]
    assert "--hidden-size 99 contradicts" in failure(capsys, 1, *arguments, "--hidden-size", "99")
    corpus.write_text(corpus.read_text(encoding="utf-8") + "我 。\n", encoding="utf-8")
    assert "not the one" in failure(capsys, 1, *arguments)
    assert model.read_bytes() == before


def test_resume_with_more_epochs_goes_on(corpus, model, capsys):
    assert run(["train", str(corpus), "-o", str(model), "--resume", "--epochs", "4"]) == 0
    assert json.loads(output(capsys, "info", str(model), "--json"))["training"]["epochs_done"] == 4


def test_init_from_refuses_another_vocabulary_unless_told(corpus, model, tmp_path, capsys):
    other, path = tmp_path / "other.txt", tmp_path / "new.npz"
    other.write_text("我 昨天 上学 很 开心 。\n" * 60, encoding="utf-8")
    arguments = ["train", str(other), "-o", str(path), "--init-from", str(model), "--epochs", "1"]
    assert "--init-vocabulary" in failure(capsys, 1, *arguments)
    assert not path.exists()
    assert run([*arguments, "--init-vocabulary", "keep"]) == 0
    keeps, _ = checkpoint.load(path)
    old, _ = checkpoint.load(model)
    assert keeps["vocabulary"]["tokens"] == old["vocabulary"]["tokens"]
    assert run([*arguments, "--init-vocabulary", "map", "--lr", "1e-12", "--force"]) == 0
    maps, new = checkpoint.load(path)
    assert "开心" in maps["vocabulary"]["tokens"]
    _, parameters = checkpoint.load(model)
    row_of = {t: i for i, t in enumerate(old["vocabulary"]["tokens"], 3)}
    for i, token in enumerate(maps["vocabulary"]["tokens"], 3):
        if token in row_of:
            expected = parameters["embedding.weight"][row_of[token]]
            assert new["embedding.weight"][i] == pytest.approx(expected, abs=1e-6)


def test_init_from_with_the_same_vocabulary_starts_from_the_weights(corpus, model, tmp_path):
    path = tmp_path / "new.npz"
    assert (
        run(["train", str(corpus), "-o", str(path), "--init-from", str(model), "--epochs", "1", "--lr", "1e-12"]) == 0
    )
    (_, a), (_, b) = checkpoint.load(model), checkpoint.load(path)
    assert np.allclose(a["rnn.weight_hh_l0"], b["rnn.weight_hh_l0"], atol=1e-7)


# --- wrong input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (b"", [], "no text"),
        (b"\n\n\n", [], ""),
        ("我 昨天 上学\n".encode() * 3, ["--batch-size", "500"], "--batch-size"),
        (b"\xff\xfe\x00\xd8\x00\x00abc" + bytes(range(256)), [], ""),
        ("你好，世界。\n".encode()[:-5] + b"\xe4\xbd\n" * 40, ["--encoding", "utf-8"], "offset"),
        ("我 昨天 上学\n".encode() * 50, ["--encoding", "klingon"], "klingon"),
        ("我 昨天 上学\n".encode() * 50, ["--init-from", "missing.npz"], "missing.npz"),
    ],
)
def test_a_bad_text_is_one_sentence_and_leaves_no_file(content, options, words, tmp_path, capsys):
    path, corpus = tmp_path / "m.npz", tmp_path / "bad.txt"
    corpus.write_bytes(content)
    message = failure(capsys, 1, "train", str(corpus), "-o", str(path), "--epochs", "1", *options)
    assert words in message
    assert not path.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["train", "x.txt", "--hidden-size", "0"],
        ["train", "x.txt", "--dropout", "1"],
        ["train", "x.txt", "--weight-dropout", "1"],
        ["train", "x.txt", "--weight-decay", "-1"],
        ["train", "x.txt", "--label-smoothing", "1"],
        ["train", "x.txt", "--cell", "transformer"],
        ["train", "x.txt", "--time", "soon"],
        ["train", "x.txt", "--activation", "relu"],
        ["train", "x.txt", "--resume", "--init-from", "y.npz"],
        ["predict"],
        ["predict", "x", "-k", "0"],
        ["sample", "--temperature", "-1"],
        ["sample", "--top-p", "0"],
        ["trian"],
        ["eval"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failure(capsys, 2, *arguments)


def test_missing_text_folder_and_model(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "missing.txt" in failure(capsys, 1, "train", "missing.txt")
    assert "does not exist" in failure(capsys, 1, "train", "missing.txt", "-o", "no/folder/m.npz")
    for arguments in (["predict", "我"], ["sample"], ["eval", "missing.txt"], ["info"]):
        assert "rnnlm train" in failure(capsys, 1, *arguments)
    Path("foreign.npz").write_bytes(b"PK\x03\x04 not really")
    assert "foreign.npz" in failure(capsys, 1, "predict", "我", "-m", "foreign.npz")
    np.savez("numpy.npz", a=np.arange(3))
    assert "numpy.npz" in failure(capsys, 1, "predict", "我", "-m", "numpy.npz")


# --- asking the model -------------------------------------------------------------------------------------------


def test_predict_ranks_and_its_json_is_the_same(model, capsys):
    text = "我 昨天 上学"
    lines = output(capsys, "predict", text, "-m", str(model), "-k", "5").splitlines()
    answer = json.loads(output(capsys, "predict", text, "-m", str(model), "-k", "5", "--json"))
    assert answer["context"] == text
    assert [c["token"] for c in answer["candidates"]] == [line.split()[1] for line in lines]
    probabilities = [c["probability"] for c in answer["candidates"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) <= 1


def test_all_candidates_together_have_probability_one(model, capsys):
    answer = json.loads(output(capsys, "predict", "我", "-m", str(model), "-k", "100000", "--json"))
    unknown = 1 - sum(c["probability"] for c in answer["candidates"])
    assert 0 <= unknown < 0.1  # <unk>, which is not offered


def test_predict_each_shows_what_follows_every_word(model, capsys):
    rows = output(capsys, "predict", "--each", "我 昨天 上学", "-m", str(model)).splitlines()
    assert [row.split(" -> ")[0] for row in rows] == ["<s>", "我", "昨天", "上学"]
    last = json.loads(output(capsys, "predict", "我 昨天 上学", "-m", str(model), "--json"))["candidates"][0]["token"]
    assert rows[-1].split()[2] == last


def test_unknown_words_are_named_in_a_warning(model, capsys):
    assert run(["predict", "我 乘 火箭 上学", "-m", str(model)]) == 0
    printed = capsys.readouterr()
    assert "乘 火箭" in printed.err
    assert "<unk>" not in printed.out


def test_a_seed_repeats_a_sample(model, capsys):
    arguments = ["sample", "-m", str(model), "--count", "3", "--seed", "4"]
    texts = [json.loads(line)["text"] for line in output(capsys, *arguments, "--json").splitlines()]
    assert len(texts) == 3
    assert output(capsys, *arguments) == "\n".join(texts) + "\n"
    assert output(capsys, "sample", "-m", str(model), "--count", "3", "--seed", "5") != "\n".join(texts) + "\n"


def test_a_sample_continues_its_prompt_and_stops_where_told(model, capsys):
    arguments = ["sample", "-m", str(model), "--seed", "1", "--prompt", "我 昨天", "--length", "30"]
    whole = output(capsys, *arguments)
    assert whole.startswith("我 昨天")
    assert len(whole) > len("我 昨天\n")
    stop = whole.split()[-2]
    assert output(capsys, *arguments, "--stop", stop).strip() == whole[: whole.index(stop, len("我 昨天"))].strip()


def test_a_sample_is_spaced_like_its_prompt(model, capsys):
    arguments = ["sample", "-m", str(model), "--seed", "1", "--length", "8", "--prompt"]
    separated, joined = (output(capsys, *arguments, prompt).strip() for prompt in ["我 昨天", "我昨天"])
    assert len(separated.split()) > 3
    assert separated.split() == LanguageModel.load(model).tokens(separated)
    assert joined == separated.replace(" ", "")


def test_beam_search_ignores_the_seed(model, capsys):
    texts = {
        output(capsys, "sample", "-m", str(model), "--prompt", "我", "--beam", "4", "--seed", seed) for seed in "12"
    }
    assert len(texts) == 1
    assert texts.pop().startswith("我")


def test_standard_input_is_a_corpus_and_a_prompt(corpus, tmp_path):
    command = [sys.executable, "-m", "rnnlm"]
    path = str(tmp_path / "m.npz")
    arguments = ["train", "-", "-o", path, "--epochs", "1", *SMALL]
    subprocess.run([*command, *arguments], input=corpus.read_bytes(), check=True, capture_output=True)
    done = subprocess.run(
        [*command, "predict", "-", "-m", path], input="我 昨天\n".encode(), check=True, capture_output=True
    )
    assert len(done.stdout.splitlines()) == 10


def test_a_reader_that_has_seen_enough_is_no_error(model):
    command = f"{sys.executable} -m rnnlm sample -m {model} --count 500 --length 50 | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
