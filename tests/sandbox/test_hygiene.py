from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys

import pytest

from stackbench.errors import DockerNotAvailableError
from stackbench.sandbox.docker import connect
from stackbench.sandbox.hygiene import list_containers, remove_leftovers
from tests.waiting import wait_for

pytestmark = pytest.mark.docker

OWNER = """
import asyncio, sys
from stackbench.sandbox.image import ensure_image
from stackbench.sandbox.spec import SandboxSpec
from stackbench.sandbox.pool import SandboxPool
async def main():
    pool = SandboxPool(SandboxSpec(ensure_image(print)), size=1, spare=1)
    await pool.warm_up()
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.fixture
def owner():
    process = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def mine(process: subprocess.Popen[str]):
    return [c for c in list_containers() if c.owner.endswith(f":{process.pid}")]


def test_a_live_owners_container_is_listed_and_left_alone(owner: subprocess.Popen[str]) -> None:
    (container,) = mine(owner)
    assert (container.status, container.owner_alive) == ("running", True)
    remove_leftovers()
    assert mine(owner)


def test_containers_stop_by_themselves_when_their_owner_is_killed(owner: subprocess.Popen[str]) -> None:
    assert mine(owner)
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    wait_for(lambda: not mine(owner), within_s=30)


def test_no_engine_is_one_line_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(DockerNotAvailableError, match="no Docker engine answers at unix://"):
        connect()
    gc.collect()  # a socket left open would be an error here


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_socket_without_permission_says_how_to_get_it() -> None:
    code = (
        "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from stackbench.sandbox.docker import connect\nconnect()"
    )
    # The package is imported before the drop: another user may not read this checkout.
    code = f"import stackbench.sandbox.docker, docker, docker.errors\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "no permission to use the Docker engine" in done.stderr
    assert "usermod -aG docker" in done.stderr
