"""Tokens -> provisional ids, in this process or in several: what comes out is the same.

Every process gets pieces of the text, cut at ends of lines, and gives back their tokens with ids of its own, which are
translated in the order of the text. The processes are started afresh (spawn), for a copy of a process that has threads
may hang. They end with this one, however that ends, because then a pipe to them does.
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

# Bytes of a text for which starting processes pays: that takes a second with jieba, in which it cuts about 0.8 MB, and
# a quarter of one without, in which 2 MB are tokenized.
WORTH_WITH_JIEBA, WORTH = 4 << 20, 16 << 20
MOST_PROCESSES = 16  # each has its own dictionary, about 150 MB
PIECE = 1 << 17  # characters given to a process at once
MOST_KNOWN = 1 << 17  # tokens that a process remembers
AHEAD = 4  # pieces for each process that may be done before the one that is waited for


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
        with _pool(self._tokenizer, processes) as send:
            tables: dict[int, NDArray[Any]] = {}
            for answer in _in_order(send, _pieces(texts), AHEAD * processes):
                if answer.options is not None and not self._tokenizer.adopt(answer.options):
                    raise CorpusError("jieba was changed while it was in use. Try again.")
                # What a process has met before was in an earlier piece, so that it is known here too, and what is new
                # comes in the order of the text.
                new = np.fromiter(map(self.__getitem__, answer.new), dtype=np.uint32, count=len(answer.new))
                known = tables.get(answer.process, np.array([0, EOS, 0], dtype=np.uint32))[: FIRST + answer.known]
                tables[answer.process] = table = np.concatenate([known, new])
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

    process: int
    known: int  # how many tokens it knew
    new: list[str]
    ids: NDArray[np.uint32]
    options: dict[str, Any] | None


@contextmanager
def _pool(tokenizer: Tokenizer, processes: int) -> Iterator[Callable[[str], Future[_Answer]]]:
    """Start processes that tokenize, and give what sends a piece to one of them.

    An error or an interrupt in the block ends them amid their work.
    """
    context = multiprocessing.get_context("spawn")
    end, here = context.Pipe(duplex=False)
    arguments = (end, tokenizer.name, tokenizer.options(), MOST_KNOWN)
    try:
        with _starting():
            pool = ProcessPoolExecutor(processes, context, _begin, arguments)
        # The pool starts a process when there is something for it to do. A signal in the midst of that would leave a
        # process that says that it fails. Python handles signals in the main thread only, so another one does it.
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
    except (OSError, NotImplementedError) as error:  # the latter where there are no semaphores
        reason = getattr(error, "strerror", None) or error
        raise CorpusError(f"A process to cut words in cannot be started: {reason}. Use --threads 1.") from error


def _block_signals() -> None:
    """Keep Ctrl-C from this thread and from the processes that it starts: it is the main thread that ends them."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows; see `_begin`
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])


def _in_order(send: Callable[[str], Future[_Answer]], pieces: Iterable[str], most: int) -> Iterator[_Answer]:
    """The answers to pieces in the order of these; at most so many pieces are sent before the oldest is answered."""
    waiting: deque[Future[_Answer]] = deque()
    for piece in pieces:
        waiting.append(send(piece))
        if len(waiting) == most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


# In a process of the pool


class _Worker:
    """What a process knows from one piece to the next."""

    current: ClassVar["_Worker"]

    def __init__(self, level: str, options: dict[str, Any], most_known: int) -> None:
        self._tokenizer = tokenizer_class(level).from_options(options)
        self._options, self._most_known = options, most_known
        self._ids = TokenIds(self._tokenizer)

    def tokenize(self, piece: str) -> _Answer:
        """Ids of a piece, and what is new in it."""
        ids = self._ids
        if len(ids) > self._most_known:
            ids.clear()
        known, before = len(ids), self._options
        found = ids(piece)
        new = list(itertools.islice(reversed(ids), len(ids) - known))[::-1]
        self._options = self._tokenizer.options()
        return _Answer(os.getpid(), known, new, found, None if self._options == before else self._options)


def _begin(end: Connection, level: str, options: dict[str, Any], most_known: int) -> None:
    """Make a process ready for pieces, once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be blocked
    threading.Thread(target=_end_with, args=(end,), daemon=True).start()
    _Worker.current = _Worker(level, options, most_known)


def _end_with(end: Connection) -> None:
    """End this process as soon as the other end of a pipe is closed, as the system does when its owner ends."""
    with suppress(EOFError, OSError):
        end.recv()
    signal.raise_signal(signal.SIGTERM)


def _tokenize(piece: str) -> _Answer:
    return _Worker.current.tokenize(piece)
