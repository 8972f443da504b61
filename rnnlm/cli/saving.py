"""When a training is saved, and what happens where that fails."""

import time
from contextlib import suppress
from pathlib import Path

from rnnlm.cli.interruptions import Interruptions
from rnnlm.cli.progress import Display
from rnnlm.errors import CheckpointError, SavingError
from rnnlm.storage.lock import Reservation
from rnnlm.training.session import Session

SAVE_SECONDS = 600.0  # at least so often, besides every evaluation
RETRY_SECONDS = 60.0  # the same while saving fails
LAST_RETRIES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds to wait at the end of a training that cannot be saved


class Saver:
    """Saves a training now and then. A disk that is full for a while costs nothing but a warning."""

    def __init__(self, session: Session, output: Path, reservation: Reservation | None, resumed: bool) -> None:
        """Nothing is saved yet; a resumed training is on disk already.

        reservation: None of a worker that leaves the writing to the first one.
        """
        self._session, self._output, self._reservation = session, output, reservation
        self._path = output.absolute()  # the current folder may be removed and made anew
        self._began = session.trainer.progress.step
        self._saved = self._began if resumed else None
        self._failed = False
        self._tried = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time to save, besides after an evaluation."""
        return time.monotonic() - self._tried > (RETRY_SECONDS if self._failed else SAVE_SECONDS)

    def save(self, at_the_end: bool = False) -> None:
        """Save; see `Session.save`.

        Raises:
            SavingError: the file cannot be written now.
        """
        try:
            if self._reservation is not None:  # else the first worker writes
                self._reservation.renew()
                self._saved = self._session.save(self._path, at_the_end)
        except MemoryError:
            raise SavingError(f"{self._output} cannot be written: there is no memory left to do it.") from None
        finally:
            self._tried = time.monotonic()

    def try_to_save(self, display: Display) -> None:
        """Save, or say that it will be tried again."""
        try:
            self.save()
        except CheckpointError as error:
            if not self._failed:
                display.line(f"Warning: {error} The training goes on and this is tried again; {self.on_disk()}.")
            self._failed = True
        else:
            if self._failed:
                display.line(f"Saved again: {self.on_disk()}.")
            self._failed = False

    def finish(self, display: Display, interruptions: Interruptions) -> None:
        """Save the end of the training; try for a minute, unless somebody wants to leave.

        Raises:
            SavingError: it cannot be saved.
            CheckpointError: what was learnt makes no checkpoint; its weights are saved alone.
        """
        if self._session.trainer.progress.step == self._began and not self._session.trainer.progress.finished:
            return  # interrupted before anything was learnt: an older file is worth more
        pauses, told = iter(LAST_RETRIES), False
        while True:
            try:
                self.save()  # before the n-gram's weights are found, which takes as long as an evaluation
                if self._session.ngram is not None:
                    self.save(at_the_end=True)
                return
            except SavingError as error:
                pause = None if interruptions.received else next(pauses, None)
                if pause is None:
                    raise SavingError(f"{error} The training is not saved; {self.on_disk()}.") from None
                if not told:
                    display.line(f"Warning: {error} Trying again for {sum(LAST_RETRIES):.0f} s.")
                told = True
                _wait(pause, interruptions)
            except CheckpointError as error:
                weights, vocabulary = self._session.rescue(self._path)
                raise CheckpointError(
                    f"{error} So the weights alone are saved in {weights.name}, for numpy.load, and the tokens in the "
                    f"order of their ids in {vocabulary.name}, beside {self._output}."
                ) from None

    def rescue(self) -> bool:
        """Save what the workers have learnt together after one of them is gone; if it was the first, another can.

        Returns whether this worker is the one that has something to tell about it.
        """
        if self._session.trainer.progress.step > self._began:
            with suppress(SavingError):  # the first one is still there, and does it
                self._reservation = self._reservation or Reservation(self._output)
                self.save()
        return self._reservation is not None

    def on_disk(self) -> str:
        """What is left if the process ends now."""
        if self._saved is None:
            return "nothing of this training is saved"
        return f"{self._output} holds step {self._saved:,}"

    def how_to_go_on(self) -> str:
        """A sentence for the end of a message, if there is something to go on with."""
        return "" if self._saved is None else " Go on with --resume."


def _wait(seconds: float, interruptions: Interruptions) -> None:
    """Wait, or until a signal comes."""
    until = time.monotonic() + seconds
    while not interruptions.received and time.monotonic() < until:
        time.sleep(0.05)
