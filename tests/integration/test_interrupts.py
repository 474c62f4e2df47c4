"""How `mqops up` takes signals: seen from a process that gets real ones."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_IGN if "nohup" in sys.argv else signal.SIG_DFL)
from mqops.embedded.interrupts import Interrupted, Interrupts
with Interrupts() as interrupts:
    try:
        print("at work", flush=True)
        time.sleep(60)
    except Interrupted:
        print("interrupted", flush=True)
    interrupts.finish()
    deadline = time.monotonic() + 30
    while not interrupts.is_hurried() and time.monotonic() < deadline:
        time.sleep(0.01)
    print("hurried", flush=True)
"""


@pytest.fixture
def program(request: pytest.FixtureRequest) -> "Iterator[subprocess.Popen[str]]":
    arguments = [sys.executable, "-c", PROGRAM, *getattr(request, "param", ())]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as started:
        assert line(started) == "at work"
        yield started
        started.kill()


def line(program: "subprocess.Popen[str]") -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_interrupts_and_a_later_one_hurries(
    program: "subprocess.Popen[str]", number: signal.Signals
) -> None:
    program.send_signal(number)
    assert line(program) == "interrupted"
    time.sleep(1.1)
    program.send_signal(number)
    assert line(program) == "hurried"
    assert program.wait(5) == 0


def test_one_request_that_arrives_twice_does_not_hurry(program: "subprocess.Popen[str]") -> None:
    program.send_signal(signal.SIGTERM)
    assert line(program) == "interrupted"
    program.send_signal(signal.SIGTERM)
    time.sleep(1.2)
    assert program.poll() is None
    program.send_signal(signal.SIGTERM)
    assert line(program) == "hurried"


@pytest.mark.parametrize("program", [("nohup",)], indirect=True)
def test_a_hangup_that_is_to_be_ignored_is_ignored(program: "subprocess.Popen[str]") -> None:
    program.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    program.send_signal(signal.SIGTERM)
    assert line(program) == "interrupted"
    time.sleep(0.3)
    assert program.poll() is None
