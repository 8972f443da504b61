"""What `train` and `ngram train` replace without being told: their own result of the same text, and nothing else."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnlm.cli import run
from rnnlm.storage import checkpoint

TEXT = "It was a bright cold day in April, and the clocks were striking thirteen.\n" * 20
SMALL = ["--hidden-size", "8", "--embedding-size", "4", "--threads", "1"]
TRAIN = ["train", "text.txt", "-o", "m.npz", "--epochs", "1", *SMALL]
NGRAM = ["ngram", "train", "text.txt", "-o", "m.npz"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two texts, as the current one."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(TEXT)
    Path("other.txt").write_text(TEXT.replace("April", "May"))
    return tmp_path


def contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command says that fails and writes nothing."""
    capsys.readouterr()
    before = contents()
    assert run(list(arguments)) == 1
    assert contents() == before
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


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
def test_the_same_command_replaces_what_it_wrote(command):
    Path("words.txt").write_text("十月 5 t\n", encoding="utf-8")
    assert run(command) == 0
    before = contents()
    assert run(command) == 0
    assert contents().keys() == before.keys()
    if "0.3s" not in command:
        history = {"h.jsonl"}  # whose speeds differ
        assert {k: v for k, v in contents().items() if k not in history} == {
            k: v for k, v in before.items() if k not in history
        }


def test_a_dictionary_that_was_mended_is_the_same_command(capsys):
    for words, code in (("十月 5 t\n", 0), ("十月 9 t\n", 0), (None, 1)):
        if words:
            Path("words.txt").write_text(words, encoding="utf-8")
        assert run([*NGRAM, *(["--user-dict", "words.txt"] if words else [])]) == code
    assert "--user-dict: given then, not given now" in capsys.readouterr().err


def test_a_time_on_a_faster_machine_is_the_same_command(capsys):
    command = ["train", "text.txt", "-o", "m.npz", "--time", "0.2s", "--threads", "1"]
    assert run(command) == 0
    header, arrays = checkpoint.load("m.npz")
    header["training"]["options"] |= {"hidden_size": 4711, "dropout": 0.11, "lr": 0.0011}  # as if it had chosen these
    checkpoint.save("m.npz", header, arrays)
    assert "--hidden-size: not given then, 4711 now" in refused(capsys, *command, "--hidden-size", "4711")
    assert "--time" in refused(capsys, *command[:4], "--time", "0.1s")
    assert run(command) == 0


def test_what_was_written_out_or_saved_before_commands_were_recorded_is_compared_by_its_options(capsys):
    assert run(["train", "text.txt", "-o", "m.npz", "--epochs", "1", "--threads", "1"]) == 0
    options = checkpoint.read_header("m.npz")["training"]["options"]
    assert run([*TRAIN[:4], "--epochs", "1", "--threads", "1", "--hidden-size", str(options["hidden_size"])]) == 0
    header, arrays = checkpoint.load("m.npz")
    header["training"]["options"]["hidden_size"] *= 2
    checkpoint.save("m.npz", header, arrays)
    assert "--hidden-size" in refused(capsys, "train", "text.txt", "-o", "m.npz", "--epochs", "1", "--threads", "1")


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
def test_another_text_or_command_is_refused_with_the_ways_on(command, found, capsys):
    assert run(TRAIN) == 0
    message = refused(capsys, *command, *([] if "--threads" in command else ["--threads", "1"]))
    assert message.startswith("Error: m.npz holds a finished training (LSTM 1 x 8, ")
    assert found in message
    assert all(way in message for way in ("--resume", "-o", "--force"))


def test_by_force_everything_is_replaced(capsys):
    assert run(TRAIN) == 0
    for command in (["train", "other.txt", *TRAIN[2:], "--force"], [*NGRAM, "--force"], [*TRAIN, "--force"]):
        before = Path("m.npz").read_bytes()
        assert run(command) == 0
        assert Path("m.npz").read_bytes() != before
    assert run([*TRAIN, "--resume", "--force"]) == 2


@pytest.mark.parametrize(("command", "other"), [(TRAIN, NGRAM), (NGRAM, TRAIN)])
def test_a_model_of_the_other_kind_is_refused(command, other, capsys):
    assert run(command) == 0
    message = refused(capsys, *other)
    assert ("n-gram model of order 3" if command is NGRAM else "finished training") in message
    assert "--force" in message
    assert "--resume" not in message  # which would not go on with it


@pytest.mark.parametrize("options", [["--order", "2"], ["--min-count", "2"], ["--vocab-size", "9"], ["--hmm"]])
def test_an_ngram_model_of_another_command_or_text_is_refused(options, capsys):
    assert run(NGRAM) == 0
    assert f"{options[0]}: " in refused(capsys, *NGRAM, *options)
    assert "of another text" in refused(capsys, "ngram", "train", "other.txt", "-o", "m.npz")


def test_an_unfinished_training_is_refused_even_by_its_own_command(capsys):
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
    message = refused(capsys, *command)
    assert f"m.npz holds an unfinished training (LSTM 1 x 8, step {step} of about " in message
    assert all(way in message for way in ("--resume", "-o", "--force"))
    assert run([*command, "--epochs", "1", "--force"]) == 0


SORTS = {
    "a text": TEXT.encode(),
    "a text without an end": TEXT.encode()[:-3] + "零".encode()[:2],
    "a text in GB18030": "我 昨天 上学\n".encode("gb18030"),
    "an archive": None,  # of NumPy
    "data": bytes(range(256)),
    "damaged data": b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + b"\xff" * 200,  # as gzip begins
    "damaged": b"PK\x03\x04 not really",
}


@pytest.mark.parametrize("sort", list(SORTS))
@pytest.mark.parametrize("command", [TRAIN, NGRAM])
def test_files_of_another_kind_are_never_replaced(sort, command, capsys):
    if (content := SORTS[sort]) is None:
        np.savez("m.npz", a=np.arange(3))
    else:
        Path("m.npz").write_bytes(content)
    message = refused(capsys, *command)
    expected = {"an archive": "an archive", "damaged": "an archive", "data": "data", "damaged data": "data"}.get(
        sort, "a text"
    )
    assert f"m.npz holds {expected}" in message
    assert "--force" in message
    assert run([*command, "--force"]) == 0


def test_an_empty_file_and_a_missing_one_are_replaced():
    Path("m.npz").touch()
    assert run(TRAIN) == 0
    assert run(["info", "m.npz"]) == 0


def test_models_of_earlier_versions_and_imported_ones_are_refused(capsys):
    paths = list((Path(__file__).parents[1] / "data").rglob("*.npz"))
    assert len(paths) > 5
    for path in paths:
        shutil.copyfile(path, "m.npz")
        assert "m.npz holds " in refused(capsys, *TRAIN)


def test_nothing_is_read_of_a_text_where_the_header_tells_enough(capsys):
    assert run(TRAIN) == 0
    assert "--seed" in refused(capsys, "train", "missing.txt", *TRAIN[2:], "--seed", "2")


# --- histories, ARPA files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resume", [False, True])
def test_a_file_that_is_no_history_is_not_made_one(resume, capsys):
    Path("notes.txt").write_text("my notes\n")
    if resume:
        assert run(TRAIN) == 0
    command = [*TRAIN, *(["--resume", "--epochs", "2"] if resume else []), "--history", "notes.txt"]
    message = refused(capsys, *command)
    assert "notes.txt holds a text. Choose another name with --history" in message
    assert ("--force" in message) is not resume


def test_the_history_of_another_training_is_not_replaced(capsys):
    assert run([*TRAIN, "--history", "h.jsonl"]) == 0
    other = ["train", "text.txt", "-o", "n.npz", "--epochs", "2", *SMALL, "--history", "h.jsonl"]
    assert "h.jsonl holds the history of another training" in refused(capsys, *other)
    assert run([*other, "--force"]) == 0
    assert all(json.loads(line)["step"] for line in Path("h.jsonl").read_text().splitlines())


def test_a_resumed_training_appends_to_its_history():
    assert run([*TRAIN, "--history", "h.jsonl"]) == 0
    before = Path("h.jsonl").read_text()
    assert run([*TRAIN, "--resume", "--epochs", "3", "--history", "h.jsonl"]) == 0
    assert Path("h.jsonl").read_text().startswith(before)
    assert len(Path("h.jsonl").read_text()) > len(before)


def test_only_the_arpa_file_of_the_same_model_is_replaced(capsys):
    Path("m.arpa").write_text("my notes\n")
    assert "m.arpa holds a text. Choose another name with --arpa" in refused(capsys, *NGRAM, "--arpa", "m.arpa")
    assert run([*NGRAM, "--arpa", "m.arpa", "--force"]) == 0
    other = ["ngram", "train", "other.txt", "-o", "n.npz", "--arpa", "m.arpa"]
    assert "m.arpa holds another model as an ARPA file" in refused(capsys, *other)


def test_the_history_of_another_training_is_kept_though_the_model_may_be_replaced(capsys):
    assert run(["train", "other.txt", "--epochs", "2", *SMALL, "-o", "b.npz", "--history", "b.jsonl"]) == 0
    before = Path("b.jsonl").read_bytes()
    assert run(TRAIN) == 0
    capsys.readouterr()
    assert run([*TRAIN, "--history", "b.jsonl"]) == 1
    assert "the history of another training" in capsys.readouterr().err
    assert Path("b.jsonl").read_bytes() == before


def test_the_arpa_file_of_another_model_is_kept_though_the_model_may_be_replaced(capsys):
    assert run(["ngram", "train", "other.txt", "-o", "b.npz", "--arpa", "b.arpa"]) == 0
    before = Path("b.arpa").read_bytes()
    assert run(NGRAM) == 0
    capsys.readouterr()
    assert run([*NGRAM, "--arpa", "b.arpa"]) == 1
    assert "another model as an ARPA file" in capsys.readouterr().err
    assert Path("b.arpa").read_bytes() == before
    assert run([*TRAIN, "--history", "b.npz"]) == 1
    assert "holds an n-gram model of order 3" in capsys.readouterr().err
