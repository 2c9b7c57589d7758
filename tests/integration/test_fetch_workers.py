"""Prefetches and warm jobs with the workers that ``up`` runs, and what a kill leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bench.servers import Bed, bed
from bench.workers import environment, worker
from cachekeeper.client.cache import Cache
from cachekeeper.core.warming import WarmState
from cachekeeper.names import Task
from cachekeeper.services.warm import AT_ONCE
from cachekeeper.settings import PREFIX
from tests.integration import slow_folder
from tests.reading import EVERYBODY, follow
from tests.support import wait_until

pytestmark = pytest.mark.slow

SIZE, FILES = 640, 30
QUOTA = 12 * SIZE
LONG_S = 90.0
COMMAND = Path(sys.executable).with_name("cachekeeper")


@dataclass
class Site:
    """A server, a folder, and workers whose reads of it can be held back."""

    server: Bed
    folder: Path
    gate: Path
    diary: Path
    env: dict[str, str]
    cache: Cache

    @property
    def opened(self) -> Counter[str]:
        """How often each file was opened."""
        return Counter(line.split(" ", 1)[1] for line in self._lines())

    @property
    def readers(self) -> list[int]:
        """The processes that opened something, the last one last."""
        return [int(line.split(" ", 1)[0]) for line in self._lines()]

    def _lines(self) -> list[str]:
        return self.diary.read_text().splitlines()

    @contextmanager
    def worker(self, name: str, *more: str) -> Iterator[int]:
        """One of the services of ``up``, by its main process."""
        options = ["-I", slow_folder.__name__, *more]
        with worker(self.server, name, *options, settings=self.env) as process:
            yield process.pid

    def ring(self) -> bool:
        """What beat does."""
        for tick in (Task.DISPATCH_DUE, Task.RECOVER_BATCHES, Task.SWEEP_DEVICES):
            self.cache.broker.send(tick, {})
        time.sleep(0.5)  # between two ticks
        return True

    def on_disk(self, device: str = "phone") -> int:
        """The bytes of a device, as the file system has them."""
        return self.cache.stores.files.bytes_on_disk(device)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """See ``Site``; the device has room for twelve files of the thirty."""
    folder, gate, diary = tmp_path / "library", tmp_path / "gate", tmp_path / "diary"
    folder.mkdir()
    diary.touch()
    for number in range(FILES):
        (folder / f"IMG_{number}.jpg").write_bytes(b"%08d" % number * (SIZE // 8))
    settings = {"origin": folder, "redis_value_bytes": 1, "device_quota": QUOTA}
    settings |= {"device_headroom": 0, "worker_silent_s": 4, "disk_min_free": 0}
    env = {f"{PREFIX}{name.upper()}": str(value) for name, value in settings.items()}
    env |= {slow_folder.GATE: str(gate), slow_folder.DIARY: str(diary)}
    with bed() as server, server.cache(memory_bytes=0, **settings) as cache:
        follow(cache, *(f"IMG_{number}.jpg" for number in range(FILES)), devices=EVERYBODY)
        yield Site(server, folder, gate, diary, env, cache)


def plan(site: Site, number: int, device: str = "phone") -> None:
    """A device read a picture."""
    told = {"device": device, "paths": [f"IMG_{number}.jpg"], "at": time.time()}
    site.cache.broker.send(Task.PLAN, told)


def test_two_workers_fetch_what_many_plans_ask_for_once(site: Site) -> None:
    other = site.worker("fetch", "-n", "other@%h")
    with site.worker("immediate"), site.worker("plan"), site.worker("fetch"), other:
        for _ in range(20):
            plan(site, 0)
        wanted = {f"IMG_{i}.jpg" for i in range(1, 5)}

        def came() -> bool:  # for a device that is busy with two, the others come again
            site.ring()
            return set(site.cache.stores.devices.manifest("phone")) == wanted

        wait_until(came, LONG_S)
        wait_until(lambda: not waiting(site), LONG_S)
        assert site.opened == dict.fromkeys(wanted, 1)
        most = 0
        for number in range(1, FILES, 2):
            plan(site, number)
            most = max(most, site.on_disk())
        wait_until(lambda: not waiting(site), LONG_S)
        assert max(most, site.on_disk()) <= QUOTA
        ledger = site.cache.device("phone").ledger()
        assert (ledger.used, ledger.reserved) == (site.on_disk(), 0)


def waiting(site: Site) -> bool:
    """Whether anything goes on for the device."""
    connection = site.cache.stores.connection
    keys = ("prefetch.plan", "prefetch.fetch", "unacked")
    return bool(connection.redis.exists(*keys) or site.cache.device("phone").ledger().reserved)


def test_a_fetch_whose_process_is_killed_is_done_by_another_and_leaves_nothing(
    site: Site,
) -> None:
    site.gate.touch()
    with (
        site.worker("immediate"),
        site.worker("general"),
        site.worker("plan"),
        site.worker("fetch") as main,
    ):
        plan(site, 26)  # three pictures follow
        wait_until(lambda: len(site.readers) == 2, LONG_S)
        held = site.cache.device("phone").ledger().reserved
        assert held == 2 * SIZE
        for process in psutil.Process(main).children():
            if process.pid in site.readers:
                os.kill(process.pid, signal.SIGKILL)
        site.gate.unlink()
        wanted = {f"IMG_{i}.jpg" for i in (27, 28, 29)}
        wait_until(
            lambda: site.ring() and set(site.cache.stores.devices.manifest("phone")) == wanted,
            LONG_S,
        )
        wait_until(lambda: site.ring() and not waiting(site), LONG_S)
    ledger = site.cache.device("phone").ledger()
    assert (ledger.used, ledger.reserved) == (3 * SIZE, 0)
    assert site.on_disk() == 3 * SIZE


def test_a_warm_job_survives_its_workers_and_does_nothing_twice_but_what_was_cut_off(
    site: Site,
) -> None:
    site.gate.touch()
    with ExitStack() as stack:
        stack.enter_context(site.worker("immediate"))
        stack.enter_context(site.worker("general"))
        first = stack.enter_context(site.worker("fetch"))
        job = site.cache.warm(".")
        wait_until(lambda: len(site.readers) == 1, LONG_S)
        cut_off = set(site.opened)
        for process in [psutil.Process(first), *psutil.Process(first).children()]:
            process.kill()
        site.gate.unlink()
        stack.enter_context(site.worker("fetch", "-n", "second@%h"))
        wait_until(lambda: site.ring() and job.status().ended, LONG_S)
    status = job.status()
    assert (status.state, status.done, status.items) == (WarmState.DONE, FILES, FILES)
    assert status.bytes == status.total_bytes == FILES * SIZE
    assert set(site.opened) == {f"IMG_{i}.jpg" for i in range(FILES)}
    assert {path for path, times in site.opened.items() if times > 1} <= cut_off


def test_a_warm_job_is_cancelled_and_resumed_from_the_command_line(site: Site) -> None:
    site.gate.touch()
    with site.worker("fetch"):
        job = site.cache.device("phone").warm([f"IMG_{i}.jpg" for i in range(10)])
        wait_until(lambda: site.readers, LONG_S)
        assert run(site, "warm", "cancel", job.id) == f"{job.id}: cancelled\n"
        site.gate.unlink()
        wait_until(lambda: not site.cache.device("phone").ledger().reserved, LONG_S)
        done = job.status().done
        assert done <= AT_ONCE, "each runner ends with its file"
        shown = run(site, "warm", "status", job.id)
        assert shown.startswith(f"{job.id}  cancelled\n")
        assert run(site, "warm", "resume", job.id) == f"{job.id}: goes on\n"
        assert job.wait(LONG_S).done == 10
        assert f"{job.id}  done       phone" in run(site, "warm", "list")
        assert "11 of 11" in run(site, "warm", "--wait", "60", *[f"IMG_{i}.jpg" for i in range(11)])


def run(site: Site, *arguments: str) -> str:
    """What the command says."""
    done = subprocess.run(
        [COMMAND, *arguments],
        env=os.environ | environment(site.server) | site.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout
