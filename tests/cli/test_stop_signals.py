from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.waiting import wait_for

PROGRAM = """
import asyncio, re, sys, time
from stackbench.cli.progress import write_at_once
from stackbench.cli.stop_signals import StopSignals

def in_python():
    while True:
        pass

def in_a_pattern():
    re.match("(a|a)*b", "a" * 64)

async def main(block):
    stopped = asyncio.Event()
    with StopSignals(stopped.set, stopped.is_set, lambda: write_at_once('stopping'), lambda: 'to go on: resume'):
        print("ready", flush=True)
        if block:
            globals()[block]()
        await stopped.wait()
        print("stopped", flush=True)
    return 7

sys.exit(asyncio.run(main(sys.argv[1])))
"""


def start(block: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, block], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_the_run_to_stop(number: signal.Signals) -> None:
    with start("") as process:
        process.send_signal(signal.SIGHUP)  # which changes nothing
        process.send_signal(number)
        assert process.communicate(timeout=60) == ("stopped\n", "stopping\n")
        assert process.returncode == 7


@pytest.mark.parametrize("block", ["in_python", "in_a_pattern"])
def test_the_second_ends_a_program_whose_loop_is_blocked(block: str) -> None:
    with start(block) as process:

        def ended() -> bool:
            process.send_signal(signal.SIGINT)  # two that come at once may be one
            return process.poll() is not None

        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "stopping\n", "answered though nothing else goes on"
        wait_for(ended, within_s=60)
        assert process.returncode == 130
        assert process.stderr.read() == "to go on: resume\n"
