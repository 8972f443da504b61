"""The clock of time budgets counts the time in which the process runs, whatever the real clock does."""

import threading

import pytest

from rnnlm.training.clock import LONGEST_GAP, RunningClock


class Times:
    """A real clock that shows what it is told."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_it_counts_the_seconds_between_looks():
    times = Times()
    clock = RunningClock(times)
    for seconds in (0.25, 0.5, 0.125):
        times.now += seconds
        clock()
    assert clock() == 0.875


def test_a_clock_that_jumps_back_counts_as_no_time_and_goes_on_from_there():
    times = Times()
    clock = RunningClock(times)
    times.now += 0.5
    assert clock() == 0.5
    times.now -= 3600
    assert clock() == 0.5
    times.now += 0.25
    assert clock() == 0.75


@pytest.mark.parametrize("asleep", [2.0, 3600.0, 1e9])
def test_a_process_that_was_stopped_loses_a_second_at_most(asleep):
    times = Times()
    clock = RunningClock(times)
    times.now += asleep
    assert 0 <= clock() <= LONGEST_GAP == 1
    times.now += 0.5
    assert clock() <= LONGEST_GAP + 0.5


def test_while_it_ticks_work_that_takes_long_counts_in_full(monkeypatch):
    """No look of ours in between: the thread's looks must do."""
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
            for _ in range(2):  # the second of them began after the time had passed
                assert looks.acquire(timeout=60)
        assert clock() - before == 10


def test_it_ticks_no_longer_than_it_is_asked_to():
    clock = RunningClock()
    before = threading.active_count()
    with clock.ticking():
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
