"""The clock for time budgets counts the time during which the process runs, even if the system clock jumps."""

import threading

import pytest

from rnnlm.training.clock import LONGEST_GAP, RunningClock


class Times:
    """System clock whose time is set by the test."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_the_clock_counts_the_seconds_between_calls():
    times = Times()
    clock = RunningClock(times)
    for seconds in (0.25, 0.5, 0.125):
        times.now += seconds
        clock()
    assert clock() == 0.875


def test_a_backward_jump_counts_as_no_time():
    times = Times()
    clock = RunningClock(times)
    times.now += 0.5
    assert clock() == 0.5
    times.now -= 3600
    assert clock() == 0.5
    times.now += 0.25
    assert clock() == 0.75


@pytest.mark.parametrize("asleep", [2.0, 3600.0, 1e9])
def test_a_suspension_counts_as_one_second_at_most(asleep):
    times = Times()
    clock = RunningClock(times)
    times.now += asleep
    assert 0 <= clock() <= LONGEST_GAP == 1
    times.now += 0.5
    assert clock() <= LONGEST_GAP + 0.5


def test_long_work_counts_in_full_while_ticking(monkeypatch):
    """The clock is not called during the work: only its thread reads the time."""
    monkeypatch.setattr("rnnlm.training.clock.TICK", 0.0)
    times, looks = Times(), threading.Semaphore(0)

    def real():
        looks.release()
        return times.now

    clock = RunningClock(real)
    with clock.ticking():
        before = clock()
        for _ in range(20):
            times.now += 0.5
            while looks.acquire(blocking=False):
                pass
            for _ in range(2):  # the second read began after the time was advanced
                assert looks.acquire(timeout=60)
        assert clock() - before == 10


def test_the_thread_ends_with_the_context():
    clock = RunningClock()
    before = threading.active_count()
    with clock.ticking():
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
