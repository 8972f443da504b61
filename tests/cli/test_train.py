"""`rnnlm train` and the commands that use its model: exit codes, output, files."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rnnlm.language_model import LanguageModel
from rnnlm.storage import checkpoint
from tests.sentences import SMALL


@pytest.fixture
def model(corpus: Path, tmp_path: Path, rnnlm) -> Path:
    """A word model trained on the corpus for two epochs."""
    path = tmp_path / "model.npz"
    rnnlm("train", corpus, "-o", path, "--epochs", "2", *SMALL)
    return path


# --- training ---------------------------------------------------------------------------------------------------


def test_training_reports_and_writes_a_model(corpus, tmp_path, rnnlm):
    path = tmp_path / "model.npz"
    printed = rnnlm("train", corpus, "-o", path, "--epochs", "2", *SMALL)
    assert printed.out == ""
    for word in ("Text", "Vocabulary", "100.00 %", "LSTM 1 x 12", "parameters", "perplexity", "A sample:", str(path)):
        assert word in printed.err
    assert checkpoint.read_header(path)["kind"] == "rnn"


@pytest.mark.parametrize(
    ("level", "letters", "units"),
    [
        ("char", "ab", ["character"]),
        ("char", "你好", ["character", "byte"]),
        ("word", "ab", ["token", "character"]),
        ("word", "你好", ["token", "character", "byte"]),
    ],
)
def test_bits_are_said_once_where_units_are_equal(level, letters, units, tmp_path, rnnlm):
    text = tmp_path / "text.txt"
    text.write_text(f"{' '.join(letters)} {letters}\n" * 200, encoding="utf-8")
    printed = rnnlm("train", text, "--level", level, "-o", tmp_path / "m.npz", "--epochs", "1", *SMALL).err
    (said,) = (line for line in printed.splitlines() if line.startswith("In bits"))
    assert re.findall(r"per (\w+)", said) == units


def test_more_training_makes_a_better_model(corpus, tmp_path, rnnlm):
    losses = []
    for epochs in ("1", "30"):
        path = str(tmp_path / f"{epochs}.npz")
        rnnlm("train", corpus, "-o", path, "--epochs", epochs, *SMALL, "--ngram", "0")
        losses.append(rnnlm("eval", corpus, "-m", path, "--json").json["nats_per_token"])
    assert losses[1] < 0.5 * losses[0]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_different_ones(corpus, tmp_path, rnnlm):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, seed in zip(paths, ("1", "1", "2"), strict=True):
        rnnlm("train", corpus, "-o", path, "--epochs", "1", "--seed", seed, *SMALL)
    a, b, c = (path.read_bytes() for path in paths)
    assert a == b != c


def test_a_history_has_one_object_for_each_evaluation(corpus, tmp_path, rnnlm):
    history = tmp_path / "history.jsonl"
    arguments = ["train", str(corpus), "-o", str(tmp_path / "m"), "--epochs", "3", "--history", str(history), *SMALL]
    rnnlm(*arguments)
    rows = [json.loads(line) for line in history.read_text().splitlines()]
    assert len(rows) >= 3
    assert [row["step"] for row in rows] == sorted({row["step"] for row in rows})
    for row in rows:
        assert set(row) == {
            *("step", "epoch", "seconds", "train_nats_per_token", "valid_nats_per_token"),
            *("learning_rate", "gradient_norm", "tokens_per_second"),
        }


def test_the_command_line_outranks_a_configuration_file(corpus, tmp_path, rnnlm):
    config = tmp_path / "options.toml"
    config.write_text('cell = "gru"\nhidden-size = 7\nnum_layers = 2\n')
    path = str(tmp_path / "m.npz")
    arguments = ["train", str(corpus), "-o", path, "--config", str(config), "--epochs", "1", "--num-layers", "1"]
    rnnlm(*arguments)
    facts = rnnlm("info", path, "--json").json
    assert (facts["cell"], facts["hidden_size"], facts["num_layers"]) == ("gru", 7, 1)


def test_a_misspelt_key_is_refused_with_a_suggestion(corpus, tmp_path, rnnlm):
    config = tmp_path / "options.toml"
    config.write_text("hiden-size = 7\n")
    message = rnnlm("train", corpus, "--config", config, code=2).err
    assert "hiden-size" in message
    assert "Did you mean 'hidden-size'?" in message


def test_options_come_from_the_environment(corpus, tmp_path, monkeypatch, rnnlm):
    monkeypatch.setenv("RNNLM_TRAIN_HIDDEN_SIZE", "9")
    monkeypatch.setenv("RNNLM_TRAIN_EPOCHS", "1")
    monkeypatch.setenv("RNNLM_MODEL", str(tmp_path / "m.npz"))
    rnnlm("train", corpus, "-o", tmp_path / "m.npz")
    assert rnnlm("info", "--json").json["hidden_size"] == 9


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_every_level_and_context_trains_predicts_samples_and_evaluates(level, context, corpus, tmp_path, rnnlm):
    path = str(tmp_path / "m.npz")
    arguments = ["--level", level, "--context", context, "--epochs", "1", *SMALL]
    rnnlm("train", corpus, "-o", path, *arguments)
    assert len(rnnlm("predict", "我 昨天", "-m", path).out.splitlines()) == 10
    assert rnnlm("sample", "-m", path, "--length", "5", "--count", "9", "--seed", "1").out.strip()
    result = rnnlm("eval", corpus, "-m", path, "--json").json
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
def test_every_choice_can_be_trained(options, corpus, tmp_path, rnnlm):
    length = [] if "--time" in options else ["--epochs", "1"]
    rnnlm("train", corpus, "-o", tmp_path / "m", *SMALL, *length, *options)


# --- resume, init-from ------------------------------------------------------------------------------------------


def test_an_interrupted_and_resumed_training_ends_in_the_same_bytes(corpus, tmp_path, rnnlm):
    whole, stopped = tmp_path / "whole.npz", tmp_path / "stopped.npz"
    options = ["--epochs", "40", "--dropout", "0.3", *SMALL]
    rnnlm("train", corpus, "-o", whole, *options)
    command = [sys.executable, "-m", "rnnlm", "train", str(corpus), "-o", str(stopped), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:  # an evaluation has been printed, so training is under way
            if "valid" in line and "tokens/s" in line:
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130, said
    assert "--resume" in said
    assert stopped.read_bytes() != whole.read_bytes()
    rnnlm("train", corpus, "-o", stopped, "--resume", "--threads", "1")
    assert stopped.read_bytes() == whole.read_bytes()


def test_sigterm_saves_the_model(corpus, tmp_path, rnnlm):
    path = tmp_path / "m.npz"
    command = [sys.executable, "-m", "rnnlm", "train", str(corpus), "-o", str(path), "--time", "60s", "--dropout", "0"]
    process = subprocess.Popen([*command, *SMALL], stderr=subprocess.DEVNULL)
    for _ in range(600):
        if path.exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    rnnlm("info", path)


def test_resume_refuses_another_text_and_other_options(corpus, model, rnnlm):
    before = model.read_bytes()
    arguments = ["train", str(corpus), "-o", str(model), "--resume"]
    assert "--hidden-size 99 contradicts" in rnnlm(*arguments, "--hidden-size", "99", code=1).err
    corpus.write_text(corpus.read_text(encoding="utf-8") + "我 。\n", encoding="utf-8")
    assert "not the one" in rnnlm(*arguments, code=1).err
    assert model.read_bytes() == before


def test_resume_with_more_epochs_continues(corpus, model, rnnlm):
    rnnlm("train", corpus, "-o", model, "--resume", "--epochs", "4")
    assert rnnlm("info", model, "--json").json["training"]["epochs_done"] == 4


def test_init_from_refuses_another_vocabulary_unless_init_vocabulary_is_given(corpus, model, tmp_path, rnnlm):
    other, path = tmp_path / "other.txt", tmp_path / "new.npz"
    other.write_text("我 昨天 上学 很 开心 。\n" * 60, encoding="utf-8")
    arguments = ["train", str(other), "-o", str(path), "--init-from", str(model), "--epochs", "1"]
    assert "--init-vocabulary" in rnnlm(*arguments, code=1).err
    assert not path.exists()
    rnnlm(*arguments, "--init-vocabulary", "keep")
    keeps, _ = checkpoint.load(path)
    old, _ = checkpoint.load(model)
    assert keeps["vocabulary"]["tokens"] == old["vocabulary"]["tokens"]
    rnnlm(*arguments, "--init-vocabulary", "map", "--lr", "1e-12", "--force")
    maps, new = checkpoint.load(path)
    assert "开心" in maps["vocabulary"]["tokens"]
    _, parameters = checkpoint.load(model)
    row_of = {t: i for i, t in enumerate(old["vocabulary"]["tokens"], 3)}
    for i, token in enumerate(maps["vocabulary"]["tokens"], 3):
        if token in row_of:
            expected = parameters["embedding.weight"][row_of[token]]
            assert new["embedding.weight"][i] == pytest.approx(expected, abs=1e-6)


def test_init_from_with_the_same_vocabulary_starts_from_the_weights(corpus, model, tmp_path, rnnlm):
    path = tmp_path / "new.npz"
    rnnlm("train", corpus, "-o", path, "--init-from", model, "--epochs", "1", "--lr", "1e-12")
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
def test_a_bad_text_is_refused_in_one_sentence_and_leaves_no_file(content, options, words, tmp_path, rnnlm):
    path, corpus = tmp_path / "m.npz", tmp_path / "bad.txt"
    corpus.write_bytes(content)
    message = rnnlm("train", corpus, "-o", path, "--epochs", "1", *options, code=1).err
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
def test_wrong_usage_is_exit_code_2(arguments, tmp_path, monkeypatch, rnnlm):
    monkeypatch.chdir(tmp_path)
    rnnlm(*arguments, code=2)


def test_missing_text_folder_and_model_are_reported(tmp_path, monkeypatch, rnnlm):
    monkeypatch.chdir(tmp_path)
    assert "missing.txt" in rnnlm("train", "missing.txt", code=1).err
    assert "does not exist" in rnnlm("train", "missing.txt", "-o", "no/folder/m.npz", code=1).err
    for arguments in (["predict", "我"], ["sample"], ["eval", "missing.txt"], ["info"]):
        assert "rnnlm train" in rnnlm(*arguments, code=1).err
    Path("foreign.npz").write_bytes(b"PK\x03\x04 not really")
    assert "foreign.npz" in rnnlm("predict", "我", "-m", "foreign.npz", code=1).err
    np.savez("numpy.npz", a=np.arange(3))
    assert "numpy.npz" in rnnlm("predict", "我", "-m", "numpy.npz", code=1).err


# --- using the model --------------------------------------------------------------------------------------------


def test_predict_prints_the_same_ranking_as_its_json(model, rnnlm):
    text = "我 昨天 上学"
    lines = rnnlm("predict", text, "-m", model, "-k", "5").out.splitlines()
    answer = rnnlm("predict", text, "-m", model, "-k", "5", "--json").json
    assert answer["context"] == text
    assert [c["token"] for c in answer["candidates"]] == [line.split()[1] for line in lines]
    probabilities = [c["probability"] for c in answer["candidates"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) <= 1


def test_probabilities_of_all_candidates_sum_to_one(model, rnnlm):
    answer = rnnlm("predict", "我", "-m", model, "-k", "100000", "--json").json
    unknown = 1 - sum(c["probability"] for c in answer["candidates"])
    assert 0 <= unknown < 0.1  # <unk>, which is not a candidate


def test_predict_each_shows_the_prediction_after_every_word(model, rnnlm):
    rows = rnnlm("predict", "--each", "我 昨天 上学", "-m", model).out.splitlines()
    assert [row.split(" -> ")[0] for row in rows] == ["<s>", "我", "昨天", "上学"]
    last = rnnlm("predict", "我 昨天 上学", "-m", model, "--json").json["candidates"][0]["token"]
    assert rows[-1].split()[2] == last


def test_unknown_words_are_named_in_a_warning(model, rnnlm):
    printed = rnnlm("predict", "我 乘 火箭 上学", "-m", model)
    assert "乘 火箭" in printed.err
    assert "<unk>" not in printed.out


def test_a_seed_repeats_a_sample(model, rnnlm):
    arguments = ["sample", "-m", str(model), "--count", "3", "--seed", "4"]
    texts = [json.loads(line)["text"] for line in rnnlm(*arguments, "--json").out.splitlines()]
    assert len(texts) == 3
    assert rnnlm(*arguments).out == "\n".join(texts) + "\n"
    assert rnnlm("sample", "-m", model, "--count", "3", "--seed", "5").out != "\n".join(texts) + "\n"


def test_a_sample_continues_its_prompt_and_ends_at_the_stop_text(model, rnnlm):
    arguments = ["sample", "-m", str(model), "--seed", "1", "--prompt", "我 昨天", "--length", "30"]
    whole = rnnlm(*arguments).out
    assert whole.startswith("我 昨天")
    assert len(whole) > len("我 昨天\n")
    stop = whole.split()[-2]
    assert rnnlm(*arguments, "--stop", stop).out.strip() == whole[: whole.index(stop, len("我 昨天"))].strip()


def test_a_sample_is_spaced_like_its_prompt(model, rnnlm):
    arguments = ["sample", "-m", str(model), "--seed", "1", "--length", "8", "--prompt"]
    separated, joined = (rnnlm(*arguments, prompt).out.strip() for prompt in ["我 昨天", "我昨天"])
    assert len(separated.split()) > 3
    assert separated.split() == LanguageModel.load(model).tokens(separated)
    assert joined == separated.replace(" ", "")


def test_beam_search_ignores_the_seed(model, rnnlm):
    texts = {rnnlm("sample", "-m", model, "--prompt", "我", "--beam", "4", "--seed", seed).out for seed in "12"}
    assert len(texts) == 1
    assert texts.pop().startswith("我")


def test_stdin_can_be_a_corpus_and_a_prompt(corpus, tmp_path):
    command = [sys.executable, "-m", "rnnlm"]
    path = str(tmp_path / "m.npz")
    arguments = ["train", "-", "-o", path, "--epochs", "1", *SMALL]
    subprocess.run([*command, *arguments], input=corpus.read_bytes(), check=True, capture_output=True)
    done = subprocess.run(
        [*command, "predict", "-", "-m", path], input="我 昨天\n".encode(), check=True, capture_output=True
    )
    assert len(done.stdout.splitlines()) == 10


def test_a_pipe_closed_by_head_is_not_an_error(model):
    command = f"{sys.executable} -m rnnlm sample -m {model} --count 500 --length 50 | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
