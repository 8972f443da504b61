"""The first signal asks a command to end cleanly, the second ends it at once."""

import signal
import subprocess
import sys
import threading

import pytest

from rnnlm.cli.interruptions import GRACE, SIGNALS, Interrupted, Interruptions

LISTENED = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]


@pytest.mark.parametrize("number", LISTENED)
def test_the_first_signal_is_only_recorded_while_the_program_checks_for_it(number):
    with Interruptions() as interruptions:
        interruptions.asked = lambda: False
        signal.raise_signal(number)
        assert interruptions.received == number


@pytest.mark.parametrize("number", LISTENED)
def test_the_first_signal_raises_where_no_work_can_be_lost(number):
    with Interruptions() as interruptions:
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(number)
        assert (caught.value.number, caught.value.at_once) == (number, False)
        assert interruptions.received == number


def test_the_second_signal_always_raises():
    with Interruptions() as interruptions:
        interruptions.asked = lambda: False
        signal.set_wakeup_fd(-1)  # or the guard would end the test run
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(signal.SIGTERM)
        assert (caught.value.number, caught.value.at_once) == (signal.SIGTERM, True)
        assert interruptions.received == signal.SIGINT


def test_under_torchrun_a_signal_soon_after_the_first_counts_as_the_same():
    before = {number: signal.getsignal(number) for number in LISTENED}
    try:
        with Interruptions(settling=60.0) as interruptions:
            interruptions.asked = lambda: False
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            assert interruptions.received == signal.SIGINT
            assert not interruptions._over.wait(2 * GRACE)  # the guard does not end the process either
        signal.raise_signal(signal.SIGTERM)  # arrives while the last message is written
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_signal_handlers_are_restored():
    def state():
        wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(wakeup)
        return wakeup, [signal.getsignal(number) for number in SIGNALS]

    before = state()
    with Interruptions():
        assert state() != before
    assert state() == before


def test_ignored_signals_stay_ignored():
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    wakeup = signal.set_wakeup_fd(-1)
    try:
        with Interruptions() as interruptions:
            for number in SIGNALS:
                signal.raise_signal(number)
            assert interruptions.received == 0
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)


def test_outside_the_main_thread_nothing_is_changed():
    found = []

    def work():
        with Interruptions() as interruptions:
            found.append(interruptions.received)

    before = [signal.getsignal(number) for number in SIGNALS]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [0]
    assert [signal.getsignal(number) for number in SIGNALS] == before


STUCK = """
import hashlib, os, signal, sys
from rnnlm.cli.interruptions import Interruptions
with Interruptions() as interruptions:
    interruptions.asked = lambda: False
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha512", b"x", b"y", 10**9)  # minutes in which Python runs no handler, as in a slow write
"""


def test_the_second_signal_ends_a_program_that_is_blocked_in_a_system_call():
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):  # it is still alive, so the first signal did not end it
                process.wait(0.7)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 128 + signal.SIGTERM
        finally:
            process.kill()


def test_after_the_context_has_been_left_no_signal_ends_the_process():
    with Interruptions() as interruptions:
        interruptions.asked = lambda: False
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGINT)
    for thread in threading.enumerate():
        if thread.name.endswith("(_guard)"):
            thread.join(60)  # the guard would have ended the test run
