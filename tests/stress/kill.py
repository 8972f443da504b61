"""Trainings that are killed, stopped and starved: is a model ever lost?

    python tests/stress/kill.py                          200 rounds of every attack, about an hour
    python tests/stress/kill.py --rounds 20 kill fault   20 rounds of two of them

Each round runs `rnnlm train` on a tiny network, saving after every step, and attacks it at a random moment. After it
the file on disk must load, evaluate and hold a step that is not before the one it held; or there is none, as before.
The next round goes on with --resume. Whenever a training has come to its end through all this, its file must equal that
of a training that nobody attacked, byte for byte. The full disk is a small one that is mounted for it, which needs
Linux and root; elsewhere this attack is left out. Prints a table; a round that is lost is told.
"""

import argparse
import errno
import io
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROUNDS = 200
SECONDS = 1.2  # from the start of a training to an attack, at most
LEAVE_WITHIN = 2.0  # seconds after the first signal
OVERRIDING = "-dac_override,-dac_read_search"  # what root does not stop for permissions with
WORDS, SENTENCES = 60, 120
NETWORK = ["--hidden-size", "8", "--embedding-size", "6", "--bptt", "8", "--batch-size", "4", "--threads", "1"]
NETWORK += ["--dropout", "0.2"]
EPOCHS = 4.0  # of about 34 steps
ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EACCES)
HOWS = ("kill before", "kill halfway", "kill after")


class LostError(Exception):
    """Something is not as it must be."""


# --- faults inside the write ----------------------------------------------------------------------------------------


class Fault:
    """Strikes at the n-th operation on files that are being saved, and at as many after it as `more` says.

    how: one of HOWS, or an `errno` that the operation fails with; a write has written half before.
    """

    def __init__(self, first: int, how: str | int, more: int = 0) -> None:
        """Nothing is changed yet."""
        self.first, self.how, self.last = first, how, first + more
        self.operations: list[str] = []

    def __call__(self, name: str, do: Callable[[], Any], half: Callable[[], Any] = lambda: None) -> Any:
        """Do an operation, or strike."""
        self.operations.append(name)
        if not self.first <= len(self.operations) <= self.last:
            return do()
        if isinstance(self.how, int):
            half()
            raise OSError(self.how, os.strerror(self.how))
        {"kill before": lambda: None, "kill halfway": half, "kill after": do}[self.how]()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    @contextmanager
    def installed(self) -> Iterator["Fault"]:
        """Stand between `rnnlm.storage.atomic` and the system."""
        from rnnlm.storage import atomic

        fault, module = self, vars(atomic)

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                return fault("write", lambda: super(Raw, self).write(data), lambda: self._half(data))

            def _half(self, data: Any) -> None:
                super().write(memoryview(data)[: len(data) // 2])

        class System:
            def __getattr__(self, name: str) -> Any:
                return getattr(os, name)

            def fsync(self, descriptor: int) -> None:
                fault("fsync", lambda: os.fsync(descriptor))

            def replace(self, source: Any, target: Any) -> None:
                fault("rename", lambda: os.replace(source, target))

        def opened(path: Any, mode: str, **options: Any) -> Any:
            if mode != "xb":
                return open(path, mode, **options)
            return io.BufferedWriter(fault("open", lambda: Raw(path, "x")))

        module["open"], module["os"] = opened, System()
        try:
            yield self
        finally:
            del module["open"]
            module["os"] = os


def train_under(first: int, how: str | int, more: int, arguments: list[str]) -> None:
    """Run `rnnlm` with arguments, saving after every step, with a fault (`first` 0: none)."""
    from rnnlm import cli
    from rnnlm.cli import saving

    saving.SAVE_SECONDS = saving.RETRY_SECONDS = 0.0
    saving.LAST_RETRIES = (0.05,) * 4
    with Fault(first, how, more).installed():
        cli.main(arguments)


# --- a training and what must be true of its file -------------------------------------------------------------------


class Scene:
    """A text, the file that training on it ends in, and a training that is under attack."""

    def __init__(self, home: Path, seed: int, epochs: float = EPOCHS) -> None:
        """Make the text and train on it without an attack."""
        self.options = [*NETWORK, "--epochs", str(epochs)]
        self.home, self.random = home, random.Random(seed)
        self.folder = home / "models"
        self.folder.mkdir()
        self.model = self.folder / "model.npz"
        self.corpus = _made_text(home / "corpus.txt", seed)
        root = str(Path(__file__).resolve().parents[2])  # all of them run the package that this file belongs to
        self.environment = {**os.environ, "RNNLM_CACHE": str(home / "cache"), "PYTHONPATH": root}
        whole = home / "whole.npz"
        command = [sys.executable, "-m", "rnnlm", "train", str(self.corpus), "-o", str(whole), *self.options]
        subprocess.run(command, check=True, capture_output=True, env=self.environment)
        self.expected = whole.read_bytes()
        self.log = home / "log.txt"
        self.processes: list[subprocess.Popen[str]] = []
        self.step = -1  # that the file held last; -1: there is none
        self.finished = 0

    def start(self, *fault: str, without: str = "", **options: Any) -> subprocess.Popen[str]:
        """Begin a training, or go on with it; without: capabilities that are taken from root."""
        arguments = ["train", str(self.corpus), "-o", str(self.model)]
        arguments += ["--resume", "--threads", "1"] if self.model.exists() else [*self.options]
        command = [sys.executable, __file__, "--train", *(fault or ("0", "kill before", "0")), "--", *arguments]
        if without and os.geteuid() == 0:
            command = ["setpriv", f"--bounding-set={without}", *command]
        with self.log.open("w") as log:
            process = subprocess.Popen(command, stderr=log, text=True, env=self.environment, **options)
        self.processes.append(process)
        return process

    def said(self) -> str:
        """What the training that was started last has said so far."""
        return self.log.read_text()

    def ended(self, process: subprocess.Popen[str], *codes: int, within: float = 60.0) -> str:
        """What a training said that must have ended with one of some exit codes, without a traceback."""
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            raise LostError(f"it did not end within {within:g} s:\n{self.said()[-1500:]}") from None
        said = self.said()
        over = said.rpartition("\n")[0].rpartition("\n")[2].startswith("Saved ")  # a signal may then end Python itself
        if (
            (process.returncode not in codes and not (over and process.returncode < 0))
            or "Traceback" in said
            or "Exception ignored" in said
        ):
            raise LostError(f"exit code {process.returncode}, expected one of {codes}:\n{said[-1500:]}")
        return said

    def stop_all(self) -> None:
        """End what a round that was lost has left running."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()

    def wait(self) -> None:
        """Wait for a random moment of a training."""
        time.sleep(self.random.uniform(0, SECONDS))

    def check(self, leftovers: int) -> None:
        """The file must be whole and no older than it was; and how many files that are no models may be beside it."""
        from rnnlm.storage import checkpoint

        others = sorted(path.name for path in self.folder.iterdir() if path != self.model)
        if len([name for name in others if not name.endswith("lock")]) > leftovers or len(others) > 2 * leftovers:
            raise LostError(f"the folder holds {others}")
        if not self.model.exists():
            if self.step >= 0:
                raise LostError("the file is gone")
            return
        progress = checkpoint.read_header(self.model)["training"]["state"]["progress"]
        if progress["step"] < self.step:
            raise LostError(f"the file went back from step {self.step} to {progress['step']}")
        self._evaluate()
        self.step = progress["step"]
        if progress["finished"]:
            if self.model.read_bytes() != self.expected:
                raise LostError("the training ended in other bytes than one that was not attacked")
            self.finished += 1
            self.begin_anew()

    def _evaluate(self) -> None:
        from rnnlm.language_model import LanguageModel
        from rnnlm.text.corpus import tokenize_corpus

        model = LanguageModel.load(self.model)
        text = tokenize_corpus([self.corpus], model.tokenizer, lines=True, cache_dir=self.environment["RNNLM_CACHE"])
        perplexity = model.evaluate(text).perplexity
        if not 0 < perplexity < 10 * WORDS:
            raise LostError(f"the model has a perplexity of {perplexity}")

    def begin_anew(self) -> None:
        """Forget the model."""
        self.model.unlink(missing_ok=True)
        self.step = -1

    def unchanged(self) -> Callable[[], None]:
        """A check that the file is still what it is now."""
        before = self.model.read_bytes() if self.model.exists() else None

        def check() -> None:
            if (self.model.read_bytes() if self.model.exists() else None) != before:
                raise LostError("the previous file was touched")

        return check


def until(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Wait until something is so, or the training has ended."""
    while process.poll() is None and not condition():
        time.sleep(0.005)


# --- attacks: each is one round -------------------------------------------------------------------------------------


def kill(scene: Scene) -> None:
    """kill -9 at a random moment."""
    process = scene.start()
    scene.wait()
    process.kill()
    scene.ended(process, -signal.SIGKILL, 0)
    scene.check(leftovers=1)


def fault(scene: Scene) -> None:
    """kill -9 by itself at a random operation of a save: open, write, flush, fsync, rename."""
    process = scene.start(str(scene.random.randrange(1, 12_000)), scene.random.choice(HOWS), "0")
    scene.ended(process, -signal.SIGKILL, 0)
    scene.check(leftovers=1)


def failing(scene: Scene) -> None:
    """Some operations fail; the training goes on, tries again and ends in the same bytes."""
    first, more = scene.random.randrange(1, 12_000), scene.random.randrange(60)
    process = scene.start(str(first), str(scene.random.choice(ERRORS)), str(more))
    said = scene.ended(process, 0, 1)
    if process.returncode and "The training is not saved; " not in said:  # the last save failed again and again
        raise LostError(said)
    if "Warning: " in said and "tried again" not in said and "Trying again" not in said:
        raise LostError(said)
    scene.check(leftovers=0)


def signals(scene: Scene) -> float:
    """One SIGINT, SIGTERM or SIGHUP; the time until it is gone is the result."""
    number = scene.random.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    process = scene.start()
    _await_training(scene, process)
    process.send_signal(number)
    sent = time.monotonic()
    scene.ended(process, 128 + number, 0)
    elapsed = time.monotonic() - sent
    scene.check(leftovers=0)
    if elapsed > LEAVE_WITHIN:
        raise LostError(f"it left after {elapsed:.2f} s")
    return elapsed


def twice(scene: Scene) -> float:
    """Two signals, one soon after the other."""
    process = scene.start()
    _await_training(scene, process)
    process.send_signal(signal.SIGINT)
    time.sleep(scene.random.uniform(0, 0.02))
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    scene.ended(process, 130, 0)
    elapsed = time.monotonic() - sent
    scene.check(leftovers=1)
    if elapsed > LEAVE_WITHIN:
        raise LostError(f"it left after {elapsed:.2f} s")
    return elapsed


def _await_training(scene: Scene, process: subprocess.Popen[str]) -> None:
    """Until it has begun, then for a random moment; what comes before is Python, which signals end by themselves."""
    until(process, lambda: "Text " in scene.said())
    time.sleep(scene.random.uniform(0, SECONDS / 2))


def removed(scene: Scene) -> None:
    """The folder is removed; it comes back after a while, or not until the end."""
    comes_back = scene.random.random() < 0.5
    process = scene.start()
    scene.wait()
    over = process.poll() is not None
    with suppress(OSError):  # a file that was made in the meantime
        shutil.rmtree(scene.folder)
    shutil.rmtree(scene.folder, ignore_errors=True)
    scene.step = -1
    if comes_back:
        time.sleep(0.1)
    if comes_back or over:
        scene.folder.mkdir(exist_ok=True)
    code = 0 if over or comes_back else 1
    said = scene.ended(process, code, 0, 1)
    if process.returncode == 1 and not comes_back and "No such file" not in said and "does not exist" not in said:
        raise LostError(said)
    scene.folder.mkdir(exist_ok=True)
    scene.check(leftovers=0)


def _starved(
    scene: Scene,
    begin: Callable[[int], None],
    end: Callable[[int], None],
    words: str,
    leftovers: int = 0,
    without: str = "",
) -> None:
    """Something is missing for a while, or to the end: then exit code 1, a sentence and the previous file."""
    to_the_end = scene.random.random() < 0.3
    process = scene.start(without=without)
    scene.wait()

    def told() -> bool:
        begin(process.pid)
        return re.search(words, scene.said()) is not None

    try:
        until(process, told)
        time.sleep(0.02)
        begin(process.pid)  # what a save that was under way has given back
        still = scene.unchanged()
        if not to_the_end:
            time.sleep(scene.random.uniform(0, 0.3))
            still()
            end(process.pid)
        said = scene.ended(process, 0, 1)
        if process.returncode:
            still()
            if re.search(words, said) is None:
                raise LostError(f"it does not say what is missing:\n{said[-1500:]}")
    finally:
        end(process.pid)
    scene.check(leftovers)


def limited(scene: Scene) -> None:
    """The largest size of a file (RLIMIT_FSIZE) is lowered under that of the model, and above that of the log."""

    def limit(size: int) -> Callable[[int], None]:
        def change(process: int) -> None:
            with suppress(ProcessLookupError):
                hard = resource.prlimit(process, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(process, resource.RLIMIT_FSIZE, (size, hard))

        return change

    _starved(scene, limit(scene.random.randrange(6000, 9000)), limit(-1), "File too large")


def full(scene: Scene) -> None:
    """The disk is full: a file that something else writes takes all the room."""
    ballast = scene.folder / "ballast"

    def fill(_: int) -> None:
        with suppress(OSError), ballast.open("ab", buffering=0) as file:
            while file.write(b"\0" * 4096):
                pass

    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "rnnlm", str(scene.folder)], check=True)
    try:
        _starved(scene, fill, lambda _: ballast.unlink(missing_ok=True), "No space left")
    finally:
        scene.stop_all()
        subprocess.run(["umount", str(scene.folder)], check=True)
        scene.begin_anew()


def read_only(scene: Scene) -> None:
    """The folder becomes read-only."""

    def allow(mode: int) -> Callable[[int], None]:
        return lambda _: scene.folder.chmod(mode)

    words = "Permission denied|No file can be written"
    _starved(scene, allow(0o500), allow(0o700), words, leftovers=1, without=OVERRIDING)  # one that cannot be removed


def memory(scene: Scene) -> None:
    """There is no more memory (RLIMIT_AS) from a random moment on."""
    process = scene.start()
    _await_training(scene, process)  # what comes before is Python and NumPy, which say so in their own way
    with suppress(OSError):
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
        size = pages * resource.getpagesize() + scene.random.randrange(-(1 << 20), 2 << 20)
        resource.prlimit(process.pid, resource.RLIMIT_AS, (size, -1))
    scene.ended(process, 0, 1)
    scene.check(leftovers=1)  # OpenBLAS ends a process at once where it finds no memory


def second(scene: Scene) -> None:
    """A second run on the same file is refused while the first is alive, and changes nothing of it."""
    first = scene.start()
    until(first, lambda: any(scene.folder.glob("*lock")))
    other = scene.start()
    said = scene.ended(other, 0, 1)
    if other.returncode == 0 and first.poll() is None:
        raise LostError("two runs wrote the file")
    if other.returncode and "is being written by another run" not in said:
        raise LostError(said)
    first.send_signal(signal.SIGINT)
    scene.ended(first, 130, 0)
    scene.check(leftovers=0)


ATTACKS: dict[str, Callable[[Scene], float | None]] = {
    "kill": kill,
    "fault": fault,
    "failing": failing,
    "signals": signals,
    "twice": twice,
    "second": second,
    "removed": removed,
    "limited": limited,
    "memory": memory,
    "full": full,
    "read-only": read_only,
}


def can_mount() -> bool:
    """Whether a small disk can be made."""
    if os.name != "posix" or os.geteuid():
        return False
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "rnnlm", folder], check=False, capture_output=True)
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0


def attack(name: str, rounds: int, home: Path, seed: int = 1) -> str:
    """Rounds of one attack: a row of the table. What went wrong is printed at once."""
    scene = Scene(home, seed)
    lost, times = 0, []
    for number in range(rounds):
        try:
            times.append(ATTACKS[name](scene) or 0.0)
            scene.processes.clear()
        except LostError as error:
            lost += 1
            print(f"{name}, round {number}: {error}", flush=True)
            scene.stop_all()
            shutil.rmtree(scene.folder, ignore_errors=True)
            scene.folder.mkdir(exist_ok=True)
            scene.begin_anew()
    slowest = f"{max(times):.2f} s" if any(times) else ""
    doc = (ATTACKS[name].__doc__ or "").split(".")[0].split(";")[0]
    return f"{name:10} {rounds:6} {rounds - lost:9} {lost:5} {scene.finished:9} {slowest:>8}  {doc}"


def listen() -> None:
    """Let the trainings hear signals that a shell lets its background jobs ignore."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def main() -> None:
    """Attack and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attacks", nargs="*", help=f"among {', '.join(ATTACKS)}; all where none is named")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    listen()
    print(f"{'attack':10} {'rounds':>6} {'survived':>9} {'lost':>5} {'finished':>9} {'slowest':>8}", flush=True)
    for name in arguments.attacks or ATTACKS:
        if name == "full" and not can_mount():
            print(f"{name:10} left out: no disk can be mounted here")
            continue
        with tempfile.TemporaryDirectory() as folder:
            print(attack(name, arguments.rounds, Path(folder), arguments.seed), flush=True)


def _made_text(path: Path, seed: int) -> Path:
    """Sentences of a few words."""
    rng = random.Random(seed)
    words = [f"w{number}" for number in range(WORDS)]
    path.write_text("".join(" ".join(rng.choices(words, k=9)) + "\n" for _ in range(SENTENCES)))
    return path


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        first, how, more = sys.argv[2:5]
        train_under(int(first), int(how) if how.isdigit() else how, int(more), sys.argv[6:])
    main()
