"""One engine for one home: live holders, dead ones, stopped ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from stackbench.engine import home_lock
from stackbench.engine.home_lock import HomeLock, holder_of
from stackbench.errors import HomeLockedError, SharedHomeError, StoreError
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


ELSEWHERE = """
import fcntl, sys, time
from pathlib import Path
from stackbench.engine import home_lock
home_lock.BEATS_EVERY_S = 0.05
lock = home_lock.HomeLock(Path(sys.argv[1]), "elsewhere")
lock.acquire()
fcntl.flock(lock._file, fcntl.LOCK_UN)
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An engine of another machine, whose lock does not reach this one, as over NFS."""
    monkeypatch.setattr(home_lock, "WATCHED_S", 1.0)
    process = subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path / "engine.lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_home_that_another_machine_uses_is_refused_with_the_reason(
    tmp_path: Path, elsewhere: subprocess.Popen
) -> None:
    said = f"process {elsewhere.pid} on elsewhere is the engine of {tmp_path}.*DuckDB's lock does not hold over network"
    with pytest.raises(SharedHomeError, match=said) as refused:
        HomeLock(tmp_path / "engine.lock").acquire()
    assert refused.value.exit_code == 2


def test_a_home_whose_engine_on_another_machine_was_killed_is_free(tmp_path: Path, elsewhere: subprocess.Popen) -> None:
    elsewhere.kill()
    elsewhere.wait()
    lock = HomeLock(tmp_path / "engine.lock")
    lock.acquire()
    lock.release()
