"""Kill trainings, stop them and take their resources away, and check that no model is lost.

    python tests/stress/kill.py                          200 rounds of every attack, about an hour
    python tests/stress/kill.py --rounds 20 kill fault   20 rounds of two of them

Each round runs `rnnlm train` on a tiny network, saving after every step, and attacks it at a random moment. Then the
model file must load, evaluate and not have gone back to an earlier step (or still be missing if it was missing before).
The next round resumes the training. When a training is finished, its file must equal that of an undisturbed training
byte for byte. The full disk is a small tmpfs, which needs Linux and root; elsewhere this attack is left out. Prints
a table of the attacks, and each failed round.
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
SECONDS = 1.2  # longest time from the start of a training to an attack
LEAVE_WITHIN = 2.0  # seconds within which a process must end after the last signal
OVERRIDING = "-dac_override,-dac_read_search"  # capabilities by which root ignores permissions
WORDS, SENTENCES = 60, 120
NETWORK = ["--hidden-size", "8", "--embedding-size", "6", "--bptt", "8", "--batch-size", "4", "--threads", "1"]
NETWORK += ["--dropout", "0.2"]
EPOCHS = 4.0  # about 34 steps each
ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EACCES)
HOWS = ("kill before", "kill halfway", "kill after")


class LostError(Exception):
    """A requirement on the model file or the training is violated."""


# --- faults while a file is written ---------------------------------------------------------------------------------


class Fault:
    """Makes the file operation number `first` of all saves fail, and `more` operations after it.

    how: one of HOWS, or the `errno` of the OSError that is raised; a write writes half of its data first.
    """

    def __init__(self, first: int, how: str | int, more: int = 0) -> None:
        """Set the range of operations that fail."""
        self.first, self.how, self.last = first, how, first + more
        self.operations: list[str] = []

    def __call__(self, name: str, do: Callable[[], Any], half: Callable[[], Any] = lambda: None) -> Any:
        """Do an operation, or fail it if its number is in the range."""
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
        """Replace the file operations of `rnnlm.storage.atomic` within the context."""
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


# --- a training and the requirements on its file --------------------------------------------------------------------


class Scene:
    """A text, the model that an undisturbed training on it gives, and the training under attack."""

    def __init__(self, home: Path, seed: int, epochs: float = EPOCHS) -> None:
        """Write the text and train on it without an attack."""
        self.options = [*NETWORK, "--epochs", str(epochs)]
        self.home, self.random = home, random.Random(seed)
        self.folder = home / "models"
        self.folder.mkdir()
        self.model = self.folder / "model.npz"
        self.corpus = _made_text(home / "corpus.txt", seed)
        root = str(Path(__file__).resolve().parents[2])  # the root of this repository, so that its package is tested
        self.environment = {**os.environ, "RNNLM_CACHE": str(home / "cache"), "PYTHONPATH": root}
        whole = home / "whole.npz"
        command = [sys.executable, "-m", "rnnlm", "train", str(self.corpus), "-o", str(whole), *self.options]
        subprocess.run(command, check=True, capture_output=True, env=self.environment)
        self.expected = whole.read_bytes()
        self.log = home / "log.txt"
        self.processes: list[subprocess.Popen[str]] = []
        self.step = -1  # last step found in the file; -1: no file
        self.finished = 0

    def start(self, *fault: str, without: str = "", **options: Any) -> subprocess.Popen[str]:
        """Start or resume the training.

        fault: arguments of `train_under`. without: capabilities to drop when run as root.
        """
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
        """Return the standard error of the training started last."""
        return self.log.read_text()

    def ended(self, process: subprocess.Popen[str], *codes: int, within: float = 60.0) -> str:
        """Wait for a training to end with one of the exit codes and without a traceback; return its standard error."""
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            raise LostError(f"it did not end within {within:g} s:\n{self.said()[-1500:]}") from None
        said = self.said()
        over = said.rpartition("\n")[0].rpartition("\n")[2].startswith("Saved ")  # now a signal may end Python
        if (
            (process.returncode not in codes and not (over and process.returncode < 0))
            or "Traceback" in said
            or "Exception ignored" in said
        ):
            raise LostError(f"exit code {process.returncode}, expected one of {codes}:\n{said[-1500:]}")
        return said

    def stop_all(self) -> None:
        """Kill all processes that a failed round has left running."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()

    def wait(self) -> None:
        """Sleep for a random time, up to SECONDS."""
        time.sleep(self.random.uniform(0, SECONDS))

    def check(self, leftovers: int) -> None:
        """Check that the model file is whole and not older than before, with at most `leftovers` other files."""
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
        """Remove the model file, so that the next round starts a new training."""
        self.model.unlink(missing_ok=True)
        self.step = -1

    def unchanged(self) -> Callable[[], None]:
        """Return a function that checks that the file is still as it is now."""
        before = self.model.read_bytes() if self.model.exists() else None

        def check() -> None:
            if (self.model.read_bytes() if self.model.exists() else None) != before:
                raise LostError("the previous file was touched")

        return check


def until(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Wait until a condition is true or the process has ended."""
    while process.poll() is None and not condition():
        time.sleep(0.005)


# --- attacks, each of which runs one round --------------------------------------------------------------------------


def kill(scene: Scene) -> None:
    """kill -9 at a random moment."""
    process = scene.start()
    scene.wait()
    process.kill()
    scene.ended(process, -signal.SIGKILL, 0)
    scene.check(leftovers=1)


def fault(scene: Scene) -> None:
    """kill -9 at a random operation of a save: open, write, fsync, rename."""
    process = scene.start(str(scene.random.randrange(1, 12_000)), scene.random.choice(HOWS), "0")
    scene.ended(process, -signal.SIGKILL, 0)
    scene.check(leftovers=1)


def failing(scene: Scene) -> None:
    """Some operations fail; the training continues, tries again and ends with the same bytes."""
    first, more = scene.random.randrange(1, 12_000), scene.random.randrange(60)
    process = scene.start(str(first), str(scene.random.choice(ERRORS)), str(more))
    said = scene.ended(process, 0, 1)
    if process.returncode and "The training is not saved; " not in said:  # all attempts of the last save failed
        raise LostError(said)
    if "Warning: " in said and "tried again" not in said and "Trying again" not in said:
        raise LostError(said)
    scene.check(leftovers=0)


def signals(scene: Scene) -> float:
    """One SIGINT, SIGTERM or SIGHUP; returns the seconds until the process ends."""
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
    """Two SIGINT in quick succession; returns the seconds until the process ends."""
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
    """Wait for a random time after the text was read; before that, signals end Python itself."""
    until(process, lambda: "Text " in scene.said())
    time.sleep(scene.random.uniform(0, SECONDS / 2))


def removed(scene: Scene) -> None:
    """The folder is removed; in half of the rounds it comes back after 0.1 s."""
    comes_back = scene.random.random() < 0.5
    process = scene.start()
    scene.wait()
    over = process.poll() is not None
    with suppress(OSError):  # a file may be created during the removal
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
    """Take a resource away, in 30 % of the rounds for good; a training that fails must say so and keep the file."""
    to_the_end = scene.random.random() < 0.3
    process = scene.start(without=without)
    scene.wait()

    def told() -> bool:
        begin(process.pid)
        return re.search(words, scene.said()) is not None

    try:
        until(process, told)
        time.sleep(0.02)
        begin(process.pid)  # again: a save in progress may have freed some
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
    """The file size limit (RLIMIT_FSIZE) is set below the size of the model and above that of the log."""

    def limit(size: int) -> Callable[[int], None]:
        def change(process: int) -> None:
            with suppress(ProcessLookupError):
                hard = resource.prlimit(process, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(process, resource.RLIMIT_FSIZE, (size, hard))

        return change

    _starved(scene, limit(scene.random.randrange(6000, 9000)), limit(-1), "File too large")


def full(scene: Scene) -> None:
    """The disk is filled by another file."""
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
    _starved(scene, allow(0o500), allow(0o700), words, leftovers=1, without=OVERRIDING)  # a temporary file


def memory(scene: Scene) -> None:
    """Memory (RLIMIT_AS) is limited from a random moment on."""
    process = scene.start()
    _await_training(scene, process)  # before that, Python and NumPy have error messages of their own
    with suppress(OSError):
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
        size = pages * resource.getpagesize() + scene.random.randrange(-(1 << 20), 2 << 20)
        resource.prlimit(process.pid, resource.RLIMIT_AS, (size, -1))
    scene.ended(process, 0, 1)
    scene.check(leftovers=1)  # OpenBLAS ends the process at once where memory is short


def second(scene: Scene) -> None:
    """A second run on the same file is refused while the first one is alive, and does not affect it."""
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
    """Return whether a tmpfs can be mounted."""
    if os.name != "posix" or os.geteuid():
        return False
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "rnnlm", folder], check=False, capture_output=True)
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0


def attack(name: str, rounds: int, home: Path, seed: int = 1) -> str:
    """Run the rounds of one attack, print each failure at once, and return a row of the table."""
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
    """Restore the default signal handlers, since shells let background jobs ignore signals."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def main() -> None:
    """Parse the options, run the attacks and print the table."""
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
    """Write random sentences."""
    rng = random.Random(seed)
    words = [f"w{number}" for number in range(WORDS)]
    path.write_text("".join(" ".join(rng.choices(words, k=9)) + "\n" for _ in range(SENTENCES)))
    return path


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        first, how, more = sys.argv[2:5]
        train_under(int(first), int(how) if how.isdigit() else how, int(more), sys.argv[6:])
    main()
