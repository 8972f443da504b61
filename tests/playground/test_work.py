"""Sharing of the server's threads between long work and key strokes."""

import asyncio
import threading
import time
from collections import Counter

import pytest

from rnnlm.playground.work import SLICE, Limits, Workers

THREADS = 2


@pytest.fixture
def workers():
    """Worker threads, which end with the test."""
    found = Workers(THREADS, Limits())
    yield found
    found.close()


async def do(workers, work, is_long):
    with workers.place(is_long):
        return await workers.finish(work, is_long, asyncio.get_running_loop().create_future())


def test_a_key_stroke_does_not_wait_for_uninterruptible_long_work(workers):
    answered = threading.Event()

    def long():
        assert answered.wait(30)
        yield

    def stroke():
        yield
        return "answered"

    async def both():
        waiting = [asyncio.ensure_future(do(workers, long(), True)) for _ in range(THREADS)]
        await asyncio.sleep(0.1)  # until long work occupies all threads that it may
        assert await asyncio.wait_for(do(workers, stroke(), False), 10) == "answered"
        answered.set()
        await asyncio.gather(*waiting)

    asyncio.run(both())


@pytest.mark.parametrize("strokes", [0, 4])
def test_during_key_strokes_long_work_gets_a_single_thread(workers, strokes):
    lock, running, seen, left = threading.Lock(), Counter(), [], [0, 0]

    def work_for_a_slice(is_long):
        with lock:
            running[is_long] += 1
            seen.append((running[True], running.total()))
        time.sleep(SLICE)
        with lock:
            running[is_long] -= 1

    def long(number):
        for left[number] in reversed(range(10)):
            work_for_a_slice(True)
            yield

    def stroke():
        while any(left):
            work_for_a_slice(False)
            yield

    async def all_at_once():
        left[:] = 10, 10
        first = [do(workers, stroke(), False) for _ in range(strokes)]
        await asyncio.gather(*first, *(do(workers, long(number), True) for number in range(2)))
        assert workers.working == workers.working_long == 0

    asyncio.run(all_at_once())
    assert max(long for long, _ in seen) == (1 if strokes else THREADS)
    assert max(total for _, total in seen) == THREADS
