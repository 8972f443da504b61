"""Save a training from time to time, and retry when saving fails."""

import time
from contextlib import suppress
from pathlib import Path

from rnnlm.cli.interruptions import Interruptions
from rnnlm.cli.progress import Display
from rnnlm.errors import CheckpointError, SavingError
from rnnlm.sentences import Sentence
from rnnlm.storage.lock import Reservation
from rnnlm.training.session import Session

SAVE_SECONDS = 600.0  # longest time between two saves; every evaluation saves, too
RETRY_SECONDS = 60.0  # the same while saving fails
LAST_RETRIES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds between the attempts to save at the end of a training


class Saver:
    """Saves a training from time to time; while the disk is full, it warns and tries again later."""

    def __init__(self, session: Session, output: Path, reservation: Reservation | None, resumed: bool) -> None:
        """Start with nothing saved, or, if the training is resumed, with its present step saved.

        reservation: lock of the output file; None in all workers but the first, which writes.
        """
        self._session, self._output, self._reservation = session, output, reservation
        self._path = output.absolute()  # absolute, since the current folder may be removed and created again
        self._began = session.trainer.progress.step
        self._saved = self._began if resumed else None
        self._failed = False
        self._tried = time.monotonic()

    def is_due(self) -> bool:
        """Return whether it is time to save, apart from the saves after evaluations."""
        return time.monotonic() - self._tried > (RETRY_SECONDS if self._failed else SAVE_SECONDS)

    def save(self, at_the_end: bool = False) -> None:
        """Save; see `Session.save`.

        Raises:
            SavingError: the file cannot be written now.
        """
        try:
            if self._reservation is not None:  # only the first worker writes
                self._reservation.renew()
                self._saved = self._session.save(self._path, at_the_end)
        except MemoryError:
            raise SavingError(f"{self._output} cannot be written: there is no memory left to do it.") from None
        finally:
            self._tried = time.monotonic()

    def try_to_save(self, display: Display) -> None:
        """Save; on failure, print a warning that saving will be tried again."""
        try:
            self.save()
        except CheckpointError as error:
            if not self._failed:
                display.line(f"Warning: {error} The training goes on and this is tried again; {self.on_disk()}.")
            self._failed = True
        else:
            if self._failed:
                display.line(Sentence("Saved again: {saved}.", saved=self.on_disk()))
            self._failed = False

    def finish(self, display: Display, interruptions: Interruptions) -> None:
        """Save at the end of the training; retry for a minute, or until a signal arrives.

        Raises:
            SavingError: the file cannot be written.
            CheckpointError: the model is not valid as a checkpoint; its weights are saved in another file instead.
        """
        if self._session.trainer.progress.step == self._began and not self._session.trainer.progress.finished:
            return  # interrupted before anything was learnt: keep an older file
        pauses, told = iter(LAST_RETRIES), False
        while True:
            try:
                self.save()  # save before finding the n-gram's weight, which takes as long as an evaluation
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
        """Save after a worker was lost; if that was the first worker, another one takes over the file.

        Return whether this worker holds the reservation and reports to the user.
        """
        if self._session.trainer.progress.step > self._began:
            with suppress(SavingError):  # the first worker is alive, holds the reservation and saves
                self._reservation = self._reservation or Reservation(self._output)
                self.save()
        return self._reservation is not None

    def on_disk(self) -> str:
        """Return a clause that tells which step is saved on disk."""
        if self._saved is None:
            return Sentence("nothing of this training is saved")
        return Sentence("{file} holds step {step}", file=self._output, step=f"{self._saved:,}")

    def how_to_go_on(self) -> str:
        """Return " Go on with --resume." if a step is saved, else ""."""
        return Sentence("" if self._saved is None else " Go on with --resume.")


def _wait(seconds: float, interruptions: Interruptions) -> None:
    """Wait for some seconds, or until a signal arrives."""
    until = time.monotonic() + seconds
    while not interruptions.received and time.monotonic() < until:
        time.sleep(0.05)
