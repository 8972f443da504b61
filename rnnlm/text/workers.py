"""Tokens -> provisional ids, in this process or in several: what comes out is the same.

Every process gets pieces of the text, cut at ends of lines, and gives back their tokens with ids of their own, which
are translated in the order of the text. The processes are started afresh (spawn), for a copy of a process that has
threads may hang; and they end with this one, however that ends, because then the pipe to them does.
"""

import itertools
import multiprocessing
import signal
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnlm.errors import CorpusError, RnnlmError
from rnnlm.text.tokenizers import Tokenizer, WordTokenizer, tokenizer_class
from rnnlm.text.vocabulary import EOS, FIRST

# Bytes of a text for which starting processes pays: that takes a second with jieba, in which it cuts about 0.8 MB, and
# a quarter of one without, in which 2 MB are tokenized.
WORTH_WITH_JIEBA, WORTH = 4 << 20, 16 << 20
MOST_PROCESSES = 16  # each has its own dictionary, about 150 MB
PIECE = 1 << 17  # characters given to a process at once
MOST_KNOWN = 1 << 17  # tokens that a process remembers
AHEAD = 4  # pieces for each process that may be done before the one that is waited for
_SIGNALS = [number for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if (number := getattr(signal, name, None))]
_KEPT_FROM_WORKERS = [number for name in ("SIGINT", "SIGHUP") if (number := getattr(signal, name, None))]


class TokenIds(dict[str, int]):
    """Provisional ids of tokens, given out as they are asked for; </s> ends every line."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Know no token yet."""
        super().__init__()
        self._tokenizer = tokenizer

    def __missing__(self, token: str) -> int:
        self[token] = found = FIRST + len(self)
        return found

    @property
    def types(self) -> int:
        """How many different tokens there are so far."""
        return len(self)

    def tokens(self) -> list[str]:
        """The tokens in order of their ids."""
        return list(self)

    def __call__(self, text: str) -> NDArray[Any]:
        """Ids of a text (n,)."""
        tokenize = self._tokenizer.tokenize
        *lines, part = text.split("\n")
        ids: list[int] = []
        for line in lines:
            ids += map(self.__getitem__, tokenize(line))
            ids.append(EOS)
        ids += map(self.__getitem__, tokenize(part))
        return np.array(ids, dtype=np.uint32)

    def of_all(self, texts: Iterable[str], processes: int) -> Generator[NDArray[Any], None, None]:
        """Ids of the pieces of a text, which may come out cut otherwise.

        Raises:
            CorpusError: a process cannot be started or ends before its time.
        """
        if processes == 1:
            yield from map(self, texts)
            return
        with _started(self._tokenizer, processes) as workers:
            tables = dict.fromkeys(workers, np.array([0, EOS, 0], dtype=np.uint32))
            for worker, answer in _in_order(_pieces(texts), workers):
                if answer.options is not None and not self._tokenizer.adopt(answer.options):
                    raise CorpusError("jieba was changed while it was in use. Try again.")
                # What a process has met before was in an earlier piece, so that it is known here too, and what is new
                # comes in the order of the text.
                new = np.fromiter(map(self.__getitem__, answer.new), dtype=np.uint32, count=len(answer.new))
                tables[worker] = table = np.concatenate([tables[worker][: FIRST + answer.known], new])
                yield table[answer.ids]


def useful_processes(tokenizer: Tokenizer, sample: str, size: int, most: int) -> int:
    """How many processes are worth their start for a text of some bytes that begins with `sample`; 1 is this one."""
    if type(tokenizer) is not WordTokenizer:  # others may not be what a process makes of their options
        return 1
    if size < WORTH_WITH_JIEBA or (size < WORTH and not tokenizer.is_slow(sample)):
        return 1
    return min(most, MOST_PROCESSES)


def _pieces(texts: Iterable[str]) -> Iterator[str]:
    """The texts in smaller pieces, cut after a newline."""
    for text in texts:
        start = 0
        while len(text) - start > PIECE:
            stop = text.find("\n", start + PIECE) + 1
            if not stop:
                break
            yield text[start:stop]
            start = stop
        if start < len(text):
            yield text[start:]


class _Answer(NamedTuple):
    """Ids of a piece, as the process gives them out; the tokens that it did not know before; changed options."""

    known: int  # how many tokens it knew
    new: list[str]
    ids: NDArray[np.uint32]
    options: dict[str, Any] | None


_Workers = dict[Connection, BaseProcess]


@contextmanager
def _started(tokenizer: Tokenizer, number: int) -> Iterator[_Workers]:
    """Processes that tokenize what they are sent, and no longer than they are needed."""
    context = multiprocessing.get_context("spawn")
    workers: _Workers = {}
    try:
        try:
            with _signals_put_off():
                for _ in range(number):
                    here, there = context.Pipe()
                    arguments = (there, tokenizer.name, tokenizer.options(), MOST_KNOWN)
                    process: BaseProcess = context.Process(target=_serve, args=arguments, daemon=True)
                    workers[here] = process
                    process.start()
                    there.close()
        except OSError as error:
            raise CorpusError(
                f"A process to cut words in cannot be started: {error.strerror or error}. Use --threads 1."
            ) from error
        yield workers
    finally:
        for connection, process in workers.items():
            connection.close()
            if process.pid is not None:
                process.terminate()
                process.join()


@contextmanager
def _signals_put_off() -> Iterator[None]:
    """Keep Ctrl-C from processes that are started now, from their first instruction on: it is this one that ends them.

    For this process the signals are only put off, since one that is half started would say that it fails.
    """
    handlers: dict[int, Any] = {}
    received: list[int] = []
    starting = True

    def handle(number: int, frame: FrameType | None) -> None:
        if starting:
            received.append(number)
        else:
            handlers[number](number, frame)

    if threading.current_thread() is threading.main_thread():  # the only one in which a handler runs
        handlers = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
        for number in handlers:
            signal.signal(number, handle)
    try:
        with _blocked(_KEPT_FROM_WORKERS):
            yield
    finally:
        starting = False  # so that nothing is lost where one of the handlers ends the next loop
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in received:
            handlers[number](number, None)


@contextmanager
def _blocked(signals: list[int]) -> Iterator[None]:
    """Block signals in this thread, and in processes that are started from it for good."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows; see `_serve`
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # its start would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_order(pieces: Iterator[str], workers: _Workers) -> Iterator[tuple[Connection, _Answer]]:
    """The answers to pieces in the order of these, each with the process that gave it."""
    idle, busy, done = list(workers), dict[Connection, int](), dict[int, tuple[Connection, _Answer]]()
    sent = given = 0
    more = True
    while more or busy or done:
        while more and idle and sent - given < AHEAD * len(workers):
            piece = next(pieces, None)
            if piece is None:
                more = False
                break
            connection = idle.pop()
            with _noticing_an_end(workers[connection]):
                connection.send(piece)
            busy[connection] = sent
            sent += 1
        if given in done:
            yield done.pop(given)
            given += 1
            continue
        ready = wait(list(busy))
        for connection in [each for each in busy if each in ready]:
            with _noticing_an_end(workers[connection]):
                answer = connection.recv()
            if isinstance(answer, BaseException):
                raise answer
            done[busy.pop(connection)] = connection, answer
            idle.append(connection)


@contextmanager
def _noticing_an_end(process: BaseProcess) -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError):
        process.join(1)
        code = process.exitcode
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        raise CorpusError(
            f"A process that cuts words {how}; perhaps the memory was used up. Use --threads 1, which starts none."
        ) from None


def _serve(connection: Connection, level: str, options: dict[str, Any], most_known: int) -> None:
    """Tokenize what comes through a pipe until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be blocked
    tokenizer = tokenizer_class(level).from_options(options)
    ids = TokenIds(tokenizer)
    try:
        while True:
            piece = connection.recv()
            try:
                if len(ids) > most_known:
                    ids.clear()
                known, before = len(ids), options
                found = ids(piece)
                new = list(itertools.islice(reversed(ids), len(ids) - known))[::-1]
                options = tokenizer.options()
                answer: Any = _Answer(known, new, found, None if options == before else options)
            except (RnnlmError, MemoryError) as error:
                answer = error
            connection.send(answer)
    except (EOFError, OSError):
        pass
