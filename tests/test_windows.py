"""Code for Windows: real commands in a process that imitates Windows, see tests/windows.py."""

import json
import os
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from rnnlm.cli.shared_options import MixPart
from rnnlm.storage import atomic, lock
from rnnlm.storage.atomic import replacing
from rnnlm.storage.lock import Reservation
from tests import windows

pytestmark = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is open")
TEXT = "the ferry left early\nthe old ferry was late\n" * 40
RNNLM = "from tests.windows import pretend; pretend(); from rnnlm.cli import main; main()"
SMALL = ["--epochs", "1", "--hidden-size", "8", "--threads", "1"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "text.txt").write_bytes(TEXT.replace("\n", "\r\n").encode())
    return tmp_path


def start(folder, *arguments, program=RNNLM, **options):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "RNNLM_CACHE": str(folder / "cache")}
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", **options,
    )  # fmt: skip


def rnnlm_there(folder, *arguments, code=0, program=RNNLM):
    """Run rnnlm in a process that imitates Windows, and return its output."""
    with start(folder, *arguments, program=program) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out, err


@pytest.fixture
def as_on_windows(monkeypatch):
    """Make the modules of this process that handle files believe they run on Windows."""
    locks = windows.Locks()
    monkeypatch.setitem(sys.modules, "msvcrt", locks)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    for module in (atomic, lock):
        for name in ("sys", "POSIX", "_LOCKED"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(module, name))  # restored afterwards
        windows.show_windows(module)
    for name in ("replace", "unlink"):
        monkeypatch.setattr(os, name, windows.refusing(getattr(os, name)))


def test_a_model_can_be_trained_resumed_used_and_replaced(folder):
    history = ["--history", "history.jsonl"]
    assert "Saved rnnlm.npz" in rnnlm_there(folder, "train", "text.txt", *SMALL, *history)[1]
    assert "Resumed" in rnnlm_there(folder, "train", "text.txt", *SMALL, *history, "--resume", "--epochs", "2")[1]
    out, _ = rnnlm_there(folder, "predict", "the old", "--json")
    assert json.loads(out)["candidates"]
    out, _ = rnnlm_there(folder, "score", "text.txt", "--json")
    assert [json.loads(line)["text"] for line in out.splitlines()] == TEXT.splitlines()
    rnnlm_there(folder, "train", "text.txt", *SMALL, "--force", "--cell", "gru")
    rnnlm_there(folder, "ngram", "train", "text.txt", "-o", "ngram.npz", "--arpa", "ngram.arpa")
    rnnlm_there(folder, "eval", "text.txt", "-m", "ngram.arpa")
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".rnnlm")]


def test_a_loaded_model_can_be_saved_to_its_own_file(folder):
    """On Windows an open or mapped file cannot be replaced, so a loaded model must not keep its file open."""
    rnnlm_there(folder, "train", "text.txt", *SMALL)
    program = (
        "from tests.windows import pretend; pretend(); import rnnlm; model = rnnlm.load('rnnlm.npz'); "
        "model.predict('the'); model.save('rnnlm.npz'); print(model.predict('the old').context)"
    )
    assert rnnlm_there(folder, program=program)[0] == "the old\n"


def test_two_trainings_cannot_write_the_same_file(folder):
    program = (
        "from tests.windows import pretend; pretend()\n"
        "from rnnlm.storage.lock import Reservation\n"
        "from rnnlm.cli import main\n"
        "with Reservation('rnnlm.npz'):\n"
        "    main(['train', 'text.txt', '--epochs', '1'])\n"
    )
    assert "is being written by another run (process" in rnnlm_there(folder, program=program, code=1)[1]


@pytest.mark.skipif(find_spec("uvicorn") is None, reason="uvicorn is not installed")
def test_a_server_answers_and_stops(folder):
    rnnlm_there(folder, "train", "text.txt", *SMALL)
    with start(folder, "serve", "--port", "0") as process:
        try:
            address = process.stdout.readline().split()[-1]
            with urllib.request.urlopen(f"{address}/healthz", timeout=60) as answer:
                assert answer.status == 200
        finally:
            process.terminate()
        assert process.wait(60) == 128 + 15


def test_ctrl_break_ends_a_training_and_saves(folder):
    program = (
        "from tests.windows import pretend; pretend(); import signal\n"
        "from rnnlm.cli.interruptions import SIGNALS\n"
        "from rnnlm.cli import main\n"
        "assert signal.SIGBREAK in SIGNALS and signal.SIGINT in SIGNALS and len(SIGNALS) == 3, SIGNALS\n"
        "import rnnlm.training.trainer as trainer\n"
        "step = trainer.Trainer.run\n"
        "def run(self):\n"
        "    for number, report in enumerate(step(self)):\n"
        "        yield report\n"
        "        signal.raise_signal(signal.SIGBREAK)\n"
        "trainer.Trainer.run = run\n"
        "main(['train', 'text.txt', '--epochs', '50', '--hidden-size', '8', '--threads', '1'])\n"
    )
    _, err = rnnlm_there(folder, program=program, code=128 + 3)
    assert "rnnlm.npz" in err
    rnnlm_there(folder, "info")


def test_workers_start_where_signals_cannot_be_blocked(folder, monkeypatch):
    monkeypatch.delattr("signal.pthread_sigmask")
    from rnnlm.text import workers

    workers._block_signals()


def test_a_temporary_file_in_use_is_kept_and_an_abandoned_one_removed(tmp_path, as_on_windows):
    path = tmp_path / "model.npz"
    prefix = atomic.prefix_for(path)
    (tmp_path / f"{prefix}{'0' * 16}").write_bytes(b"abandoned")
    with open(tmp_path / f"{prefix}{'1' * 16}", "wb") as written, Reservation(path):
        assert {each.name for each in tmp_path.iterdir()} == {f"{prefix}lock", Path(written.name).name}
        with pytest.raises(atomic.SavingError, match="another run"):
            Reservation(path)
    assert [each.name for each in tmp_path.iterdir()] == [Path(written.name).name]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, as_on_windows):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    with open(path, "rb"), pytest.raises(PermissionError), replacing(path) as file:
        file.write(b"newer")
    assert path.read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_mix_accepts_a_path_with_a_drive():
    kind = MixPart()
    assert kind.convert(r"C:\models\b.npz", None, None) == (r"C:\models\b.npz", None)
    assert kind.convert(r"C:\models\b.npz:0.3", None, None) == (r"C:\models\b.npz", 0.3)


def test_the_imitation_refuses_to_replace_open_files(tmp_path):
    """As a control, replacing a file that is open fails there, but not on Linux."""
    (tmp_path / "a").write_bytes(b"a")
    program = (
        "from tests.windows import pretend; pretend(); import os\n"
        "file = open('a', 'rb')\n"
        "try:\n    os.replace('a', 'b')\nexcept PermissionError:\n    print('refused')\n"
        "file.close(); os.replace('a', 'b')\n"
        "try:\n    import fcntl\nexcept ImportError:\n    print('none')\n"
    )
    assert rnnlm_there(tmp_path, program=program)[0] == "refused\nnone\n"
