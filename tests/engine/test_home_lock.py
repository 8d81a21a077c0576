"""One engine for one home: live holders, dead ones, stopped ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from stackbench.engine.home_lock import HomeLock, holder_of
from stackbench.errors import HomeLockedError, StoreError
from tests.waiting import wait_for

HOLD = """
import sys, time
from pathlib import Path
from stackbench.engine.home_lock import HomeLock
HomeLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "engine.lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path, holder: subprocess.Popen) -> None:
    path = tmp_path / "engine.lock"
    with pytest.raises(HomeLockedError, match=f"process {holder.pid} is the engine of {tmp_path}") as refused:
        HomeLock(path).acquire()
    assert (refused.value.pid, refused.value.exit_code) == (holder.pid, 2)
    found = holder_of(path)
    assert found is not None and found.pid == holder.pid
    assert found.started_at == pytest.approx(psutil.Process(holder.pid).create_time(), abs=1)


def test_a_lock_whose_holder_was_killed_is_free(tmp_path: Path, holder: subprocess.Popen) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert holder_of(tmp_path / "engine.lock") is None
    lock = HomeLock(tmp_path / "engine.lock")
    lock.acquire()
    lock.release()


def test_a_stopped_holder_is_live_and_said_to_be_stopped(tmp_path: Path, holder: subprocess.Popen) -> None:
    holder.send_signal(signal.SIGSTOP)
    wait_for(lambda: psutil.Process(holder.pid).status() == psutil.STATUS_STOPPED, within_s=10)
    with pytest.raises(HomeLockedError, match=r"is stopped \(SIGSTOP\): continue it with kill -CONT"):
        HomeLock(tmp_path / "engine.lock").acquire()


def test_a_lock_is_for_this_user_alone_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    lock = HomeLock(path)
    lock.acquire()
    assert path.stat().st_mode & 0o777 == 0o600
    lock.release()
    again = HomeLock(path)
    again.acquire()
    again.release()


@pytest.mark.parametrize("content", ["", "garbage", "{}", '{"pid": "x"}', "[1]"])
def test_what_a_lock_file_says_need_not_be_true(tmp_path: Path, content: str) -> None:
    path = tmp_path / "engine.lock"
    path.write_text(content)
    assert holder_of(path) is None
    lock = HomeLock(path)
    lock.acquire()
    lock.release()


def test_a_link_in_the_lock_s_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "engine.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(StoreError, match="cannot be written"):
        HomeLock(tmp_path / "engine.lock").acquire()
    assert (tmp_path / "precious").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be written"):
        HomeLock(tmp_path / "engine.lock").acquire()
