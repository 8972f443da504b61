"""`train` and `ngram train` replace their own earlier result without --force, and no other file."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnlm.storage import checkpoint

TEXT = "It was a bright cold day in April, and the clocks were striking thirteen.\n" * 20
SMALL = ["--hidden-size", "8", "--embedding-size", "4", "--threads", "1"]
TRAIN = ["train", "text.txt", "-o", "m.npz", "--epochs", "1", *SMALL]
NGRAM = ["ngram", "train", "text.txt", "-o", "m.npz"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with two texts the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(TEXT)
    Path("other.txt").write_text(TEXT.replace("April", "May"))
    return tmp_path


def contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}


def refused(rnnlm, *arguments: str) -> str:
    """Run a command that must fail without writing anything, and return its message."""
    before = contents()
    said = rnnlm(*arguments, code=1).err
    assert contents() == before
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    "command",
    [
        TRAIN,
        ["train", "text.txt", "--epochs", "1", *SMALL, "--valid", "other.txt", "--history", "h.jsonl"],
        ["train", "text.txt", "--level", "char", "--preset", "tiny", "--epochs", "0.2", "--threads", "1"],
        ["train", "text.txt", "--time", "0.3s", "--threads", "1"],
        ["train", "text.txt", "--user-dict", "words.txt", "--encoding", "utf-8", "--epochs", "1", *SMALL],
        NGRAM,
        [*NGRAM, "--order", "2", "--level", "char", "--context", "sentence", "--arpa", "m.arpa"],
        [*NGRAM, "--arpa", "m.arpa.gz", "--vocab-size", "5"],
    ],
)
def test_the_same_command_replaces_its_own_result(command, rnnlm):
    Path("words.txt").write_text("十月 5 t\n", encoding="utf-8")
    rnnlm(*command)
    before = contents()
    rnnlm(*command)
    assert contents().keys() == before.keys()
    if "0.3s" not in command:
        history = {"h.jsonl"}  # which holds speeds that differ
        assert {k: v for k, v in contents().items() if k not in history} == {
            k: v for k, v in before.items() if k not in history
        }


def test_a_changed_dictionary_file_counts_as_the_same_command(rnnlm):
    for words, code in (("十月 5 t\n", 0), ("十月 9 t\n", 0), (None, 1)):
        if words:
            Path("words.txt").write_text(words, encoding="utf-8")
        printed = rnnlm(*NGRAM, *(["--user-dict", "words.txt"] if words else []), code=code)
    assert "--user-dict: given then, not given now" in printed.err


def test_time_with_other_automatic_choices_counts_as_the_same_command(rnnlm):
    command = ["train", "text.txt", "-o", "m.npz", "--time", "0.2s", "--threads", "1"]
    rnnlm(*command)
    header, arrays = checkpoint.load("m.npz")
    header["training"]["options"] |= {"hidden_size": 4711, "dropout": 0.11, "lr": 0.0011}  # as on a faster machine
    checkpoint.save("m.npz", header, arrays)
    assert "--hidden-size: not given then, 4711 now" in refused(rnnlm, *command, "--hidden-size", "4711")
    assert "--time" in refused(rnnlm, *command[:4], "--time", "0.1s")
    rnnlm(*command)


def test_options_are_compared_if_they_were_given_or_no_command_is_recorded(rnnlm):
    rnnlm("train", "text.txt", "-o", "m.npz", "--epochs", "1", "--threads", "1")
    options = checkpoint.read_header("m.npz")["training"]["options"]
    rnnlm(*TRAIN[:4], "--epochs", "1", "--threads", "1", "--hidden-size", options["hidden_size"])
    header, arrays = checkpoint.load("m.npz")
    header["training"]["options"]["hidden_size"] *= 2
    checkpoint.save("m.npz", header, arrays)
    assert "--hidden-size" in refused(rnnlm, "train", "text.txt", "-o", "m.npz", "--epochs", "1", "--threads", "1")


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (["train", "other.txt", *TRAIN[2:]], "of another text"),
        (["train", "text.txt", "other.txt", *TRAIN[2:]], "of another text"),
        ([*TRAIN, "--valid", "other.txt"], "of another text"),
        ([*TRAIN, "--seed", "2"], "--seed: 1 then, 2 now"),
        ([*TRAIN, "--cell", "gru"], "--cell: lstm then, gru now"),
        ([*TRAIN, "--dropout", "0.5"], "--dropout: 0 then, 0.5 now"),
        ([*TRAIN, "--init-from", "m.npz"], "--init-from: not given then, another file now"),
        ([*TRAIN[:4], "--time", "9s", *SMALL], "--time: not given then, 9 now"),
        (TRAIN[:4], "by another command"),
    ],
)
def test_another_text_or_command_is_refused_with_the_alternatives(command, found, rnnlm):
    rnnlm(*TRAIN)
    message = refused(rnnlm, *command, *([] if "--threads" in command else ["--threads", "1"]))
    assert message.startswith("Error: m.npz holds a finished training (LSTM 1 x 8, ")
    assert found in message
    assert all(way in message for way in ("--resume", "-o", "--force"))


def test_force_replaces_everything(rnnlm):
    rnnlm(*TRAIN)
    for command in (["train", "other.txt", *TRAIN[2:], "--force"], [*NGRAM, "--force"], [*TRAIN, "--force"]):
        before = Path("m.npz").read_bytes()
        rnnlm(*command)
        assert Path("m.npz").read_bytes() != before
    rnnlm(*TRAIN, "--resume", "--force", code=2)


@pytest.mark.parametrize(("command", "other"), [(TRAIN, NGRAM), (NGRAM, TRAIN)])
def test_a_model_of_the_other_kind_is_refused(command, other, rnnlm):
    rnnlm(*command)
    message = refused(rnnlm, *other)
    assert ("n-gram model of order 3" if command is NGRAM else "finished training") in message
    assert "--force" in message
    assert "--resume" not in message  # which does not work for it


@pytest.mark.parametrize("options", [["--order", "2"], ["--min-count", "2"], ["--vocab-size", "9"], ["--hmm"]])
def test_an_ngram_model_of_another_command_or_text_is_refused(options, rnnlm):
    rnnlm(*NGRAM)
    assert f"{options[0]}: " in refused(rnnlm, *NGRAM, *options)
    assert "of another text" in refused(rnnlm, "ngram", "train", "other.txt", "-o", "m.npz")


def test_an_unfinished_training_is_not_replaced_by_its_own_command(rnnlm):
    command = [*TRAIN, "--epochs", "100000"]
    with subprocess.Popen([sys.executable, "-m", "rnnlm", *command], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "valid" in line and "tokens/s" in line:
                break
        process.send_signal(signal.SIGINT)
        process.stderr.read()
    assert process.returncode == 130
    step = checkpoint.read_header("m.npz")["training"]["state"]["progress"]["step"]
    message = refused(rnnlm, *command)
    assert f"m.npz holds an unfinished training (LSTM 1 x 8, step {step} of about " in message
    assert all(way in message for way in ("--resume", "-o", "--force"))
    rnnlm(*command, "--epochs", "1", "--force")


SORTS = {
    "a text": TEXT.encode(),
    "a text without an end": TEXT.encode()[:-3] + "零".encode()[:2],
    "a text in GB18030": "我 昨天 上学\n".encode("gb18030"),
    "an archive": None,  # one of NumPy
    "data": bytes(range(256)),
    "damaged data": b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + b"\xff" * 200,  # begins like gzip
    "damaged": b"PK\x03\x04 not really",
}


@pytest.mark.parametrize("sort", list(SORTS))
@pytest.mark.parametrize("command", [TRAIN, NGRAM])
def test_files_of_another_kind_are_never_replaced(sort, command, rnnlm):
    if (content := SORTS[sort]) is None:
        np.savez("m.npz", a=np.arange(3))
    else:
        Path("m.npz").write_bytes(content)
    message = refused(rnnlm, *command)
    expected = {"an archive": "an archive", "damaged": "an archive", "data": "data", "damaged data": "data"}.get(
        sort, "a text"
    )
    assert f"m.npz holds {expected}" in message
    assert "--force" in message
    rnnlm(*command, "--force")


def test_empty_and_missing_files_are_replaced(rnnlm):
    Path("m.npz").touch()
    rnnlm(*TRAIN)
    rnnlm("info", "m.npz")


def test_models_of_earlier_versions_are_not_replaced(rnnlm):
    paths = list((Path(__file__).parents[1] / "data").rglob("*.npz"))
    assert len(paths) > 5
    for path in paths:
        shutil.copyfile(path, "m.npz")
        assert "m.npz holds " in refused(rnnlm, *TRAIN)


def test_a_refusal_needs_no_look_at_the_text_if_the_options_differ(rnnlm):
    rnnlm(*TRAIN)
    assert "--seed" in refused(rnnlm, "train", "missing.txt", *TRAIN[2:], "--seed", "2")


# --- histories and ARPA files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("resume", [False, True])
def test_a_history_never_replaces_another_kind_of_file(resume, rnnlm):
    Path("notes.txt").write_text("my notes\n")
    if resume:
        rnnlm(*TRAIN)
    command = [*TRAIN, *(["--resume", "--epochs", "2"] if resume else []), "--history", "notes.txt"]
    message = refused(rnnlm, *command)
    assert "notes.txt holds a text. Choose another name with --history" in message
    assert ("--force" in message) is not resume


def test_the_history_of_another_training_is_not_replaced(rnnlm):
    rnnlm(*TRAIN, "--history", "h.jsonl")
    other = ["train", "text.txt", "-o", "n.npz", "--epochs", "2", *SMALL, "--history", "h.jsonl"]
    assert "h.jsonl holds the history of another training" in refused(rnnlm, *other)
    rnnlm(*other, "--force")
    assert all(json.loads(line)["step"] for line in Path("h.jsonl").read_text().splitlines())


def test_a_resumed_training_appends_to_its_history(rnnlm):
    rnnlm(*TRAIN, "--history", "h.jsonl")
    before = Path("h.jsonl").read_text()
    rnnlm(*TRAIN, "--resume", "--epochs", "3", "--history", "h.jsonl")
    assert Path("h.jsonl").read_text().startswith(before)
    assert len(Path("h.jsonl").read_text()) > len(before)


def test_only_the_arpa_file_of_the_same_model_is_replaced(rnnlm):
    Path("m.arpa").write_text("my notes\n")
    assert "m.arpa holds a text. Choose another name with --arpa" in refused(rnnlm, *NGRAM, "--arpa", "m.arpa")
    rnnlm(*NGRAM, "--arpa", "m.arpa", "--force")
    other = ["ngram", "train", "other.txt", "-o", "n.npz", "--arpa", "m.arpa"]
    assert "m.arpa holds another model as an ARPA file" in refused(rnnlm, *other)


def test_replacing_the_model_does_not_allow_replacing_another_history(rnnlm):
    rnnlm("train", "other.txt", "--epochs", "2", *SMALL, "-o", "b.npz", "--history", "b.jsonl")
    before = Path("b.jsonl").read_bytes()
    rnnlm(*TRAIN)
    assert "the history of another training" in rnnlm(*TRAIN, "--history", "b.jsonl", code=1).err
    assert Path("b.jsonl").read_bytes() == before


def test_replacing_the_model_does_not_allow_replacing_another_arpa_file(rnnlm):
    rnnlm("ngram", "train", "other.txt", "-o", "b.npz", "--arpa", "b.arpa")
    before = Path("b.arpa").read_bytes()
    rnnlm(*NGRAM)
    assert "another model as an ARPA file" in rnnlm(*NGRAM, "--arpa", "b.arpa", code=1).err
    assert Path("b.arpa").read_bytes() == before
    assert "holds an n-gram model of order 3" in rnnlm(*TRAIN, "--history", "b.npz", code=1).err
