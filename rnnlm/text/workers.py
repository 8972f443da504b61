"""Map the tokens of a text to provisional ids, in this process or in several with the same result.

Every worker process gets pieces of the text, cut at ends of lines, and returns their tokens with ids of its own. This
process translates the ids in the order of the text. Workers are started with "spawn", because a forked copy of a
process with threads may hang. They end when this process ends for any reason, because its end of a pipe then closes.
"""

import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnlm.errors import CorpusError
from rnnlm.text.tokenizers import Tokenizer, WordTokenizer, tokenizer_class
from rnnlm.text.vocabulary import EOS, FIRST

# Sizes of a text in bytes from which starting processes pays. With jieba, starting takes 1 s, in which jieba cuts about
# 0.8 MB; without jieba it takes 0.25 s, in which 2 MB are tokenized.
WORTH_WITH_JIEBA, WORTH = 4 << 20, 16 << 20
MOST_PROCESSES = 16  # each has its own dictionary, about 150 MB
PIECE = 1 << 17  # characters sent to a process at once
MOST_KNOWN = 1 << 17  # tokens that a process remembers
AHEAD = 4  # pieces for each process that may be in work at once


class TokenIds(dict[str, int]):
    """A dict that gives every new token the next provisional id; every line ends with </s>."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Start with no token."""
        super().__init__()
        self._tokenizer = tokenizer

    def __missing__(self, token: str) -> int:
        self[token] = found = FIRST + len(self)
        return found

    @property
    def types(self) -> int:
        """Number of different tokens so far."""
        return len(self)

    def tokens(self) -> list[str]:
        """Return the tokens in the order of their ids."""
        return list(self)

    def __call__(self, text: str) -> NDArray[Any]:
        """Return the ids of a text (n,)."""
        tokenize = self._tokenizer.tokenize
        *lines, part = text.split("\n")
        ids: list[int] = []
        for line in lines:
            ids += map(self.__getitem__, tokenize(line))
            ids.append(EOS)
        ids += map(self.__getitem__, tokenize(part))
        return np.array(ids, dtype=np.uint32)

    def of_all(self, texts: Iterable[str], processes: int) -> Generator[NDArray[Any], None, None]:
        """Yield the ids of a text given in pieces; the pieces of ids may be cut at other places.

        Raises:
            CorpusError: A process cannot be started, or it ends unexpectedly.
        """
        if processes == 1:
            yield from map(self, texts)
            return
        with _pool(self._tokenizer, processes) as send:
            tables: dict[int, NDArray[Any]] = {}
            for answer in _in_order(send, _pieces(texts), AHEAD * processes):
                if answer.options is not None and not self._tokenizer.adopt(answer.options):
                    raise CorpusError("jieba was changed while it was in use. Try again.")
                # Tokens that a process knows were in an earlier piece, so this process knows them too. New tokens get
                # their ids here in the order of the text.
                new = np.fromiter(map(self.__getitem__, answer.new), dtype=np.uint32, count=len(answer.new))
                known = tables.get(answer.process, np.array([0, EOS, 0], dtype=np.uint32))[: FIRST + answer.known]
                tables[answer.process] = table = np.concatenate([known, new])
                yield table[answer.ids]


def useful_processes(tokenizer: Tokenizer, sample: str, size: int, most: int) -> int:
    """Return the number of processes for a text of `size` bytes that begins with `sample`; 1 means this process."""
    if type(tokenizer) is not WordTokenizer:  # a worker might not be able to rebuild others from their options
        return 1
    if size < WORTH_WITH_JIEBA or (size < WORTH and not tokenizer.is_slow(sample)):
        return 1
    return min(most, MOST_PROCESSES)


def _pieces(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts in smaller pieces, cut after a newline."""
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
    """A worker's answer to a piece: ids in its own numbering, new tokens, and the tokenizer's options if changed."""

    process: int
    known: int  # number of tokens that the process knew before the piece
    new: list[str]
    ids: NDArray[np.uint32]
    options: dict[str, Any] | None


@contextmanager
def _pool(tokenizer: Tokenizer, processes: int) -> Iterator[Callable[[str], Future[_Answer]]]:
    """Start worker processes, and provide a function that sends a piece of text to one of them.

    An error or an interrupt in the `with` block ends the workers without waiting for their answers.
    """
    context = multiprocessing.get_context("spawn")
    end, here = context.Pipe(duplex=False)
    arguments = (end, tokenizer.name, tokenizer.options(), MOST_KNOWN)
    try:
        with _starting():
            pool = ProcessPoolExecutor(processes, context, _begin, arguments)
        # The pool starts a process when there is work for it. A signal during the start would leave a process that
        # prints a traceback. Python handles signals only in the main thread, so another thread starts the processes.
        with pool, ThreadPoolExecutor(1, initializer=_block_signals) as starter:

            def send(piece: str) -> Future[_Answer]:
                with _starting():
                    return starter.submit(pool.submit, _tokenize, piece).result()

            try:
                yield send
            except BaseException:
                here.close()
                raise
    except BrokenProcessPool:
        raise CorpusError(
            "A process that cuts words ended before its time; perhaps the memory was used up. Use --threads 1, which "
            "starts none."
        ) from None
    finally:
        here.close()
        end.close()


@contextmanager
def _starting() -> Iterator[None]:
    try:
        yield
    except (OSError, NotImplementedError) as error:  # NotImplementedError: a system without semaphores
        reason = getattr(error, "strerror", None) or error
        raise CorpusError(f"A process to cut words in cannot be started: {reason}. Use --threads 1.") from error


def _block_signals() -> None:
    """Block Ctrl-C in this thread and in the processes that it starts: the main thread ends them."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows; see `_begin`
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])


def _in_order(send: Callable[[str], Future[_Answer]], pieces: Iterable[str], most: int) -> Iterator[_Answer]:
    """Yield the answers in the order of the pieces; at most `most` pieces wait for an answer at once."""
    waiting: deque[Future[_Answer]] = deque()
    for piece in pieces:
        waiting.append(send(piece))
        if len(waiting) == most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


# In the worker processes


class _Worker:
    """The state of a worker process: its tokenizer and the tokens that it knows."""

    current: ClassVar["_Worker"]

    def __init__(self, level: str, options: dict[str, Any], most_known: int) -> None:
        self._tokenizer = tokenizer_class(level).from_options(options)
        self._options, self._most_known = options, most_known
        self._ids = TokenIds(self._tokenizer)

    def tokenize(self, piece: str) -> _Answer:
        """Return the ids of a piece and its new tokens."""
        ids = self._ids
        if len(ids) > self._most_known:
            ids.clear()
        known, before = len(ids), self._options
        found = ids(piece)
        new = list(itertools.islice(reversed(ids), len(ids) - known))[::-1]
        self._options = self._tokenizer.options()
        return _Answer(os.getpid(), known, new, found, None if self._options == before else self._options)


def _begin(end: Connection, level: str, options: dict[str, Any], most_known: int) -> None:
    """Initialize a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows, where `_block_signals` does nothing
    threading.Thread(target=_end_with, args=(end,), daemon=True).start()
    _Worker.current = _Worker(level, options, most_known)


def _end_with(end: Connection) -> None:
    """End this process as soon as the other end of a pipe is closed, which the system does when its owner ends."""
    with suppress(EOFError, OSError):
        end.recv()
    signal.raise_signal(signal.SIGTERM)


def _tokenize(piece: str) -> _Answer:
    return _Worker.current.tokenize(piece)
