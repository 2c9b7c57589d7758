"""What the tutorial stands on: a server, a worker in a process of its own, and a few photos."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cachekeeper import Cache
from cachekeeper.names import QUEUES
from cachekeeper.settings import PREFIX, Settings
from cachekeeper.store.redis.expiry import RedisExpiry
from tests.support import fresh_deployment

ROOT = Path(__file__).parents[2]
STARTS_S = 30.0
FAR_S = 1e9
LEASE_S = 0.6  # a cache takes up to a quarter of it to close
BROKER_DATABASE = "/7"  # queues have one name in all deployments: these are nobody else's

Open = Callable[..., Cache]


@pytest.fixture(scope="session")
def site(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of a site whose worker runs in another process, as ``cachekeeper up`` has it."""
    with fresh_deployment(server_url) as deployment:
        given = {
            "cache_url": server_url,
            "broker_url": server_url.removesuffix("/0") + BROKER_DATABASE,
            "deployment": deployment,
            "state": str(tmp_path_factory.mktemp("state")),
        }
        settings = Settings(**given)  # type: ignore[arg-type]  # texts, as of the environment
        environment = {f"{PREFIX}{name.upper()}": value for name, value in given.items()}
        log = tmp_path_factory.mktemp("worker") / "log"
        command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-P", "solo"]
        command += ["-Q", ",".join(QUEUES), "-n", "tutorial@%h", "-l", "INFO"]
        with (
            log.open("wb") as out,
            subprocess.Popen(
                [*command, "--without-mingle", "--without-gossip"],
                cwd=ROOT,
                env=os.environ | environment,
                stdout=out,
                stderr=out,
            ) as worker,
        ):
            try:
                with Cache(settings) as cache:
                    cache.invalidate("worker:ready").wait(STARTS_S)
                yield settings
            finally:
                worker.terminate()
                try:
                    worker.wait(10)
                except subprocess.TimeoutExpired:
                    worker.kill()
                    raise


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder of photos, such as a home has; these are texts, so that one can read them."""
    folder = tmp_path / "library"
    (folder / "beach").mkdir(parents=True)
    for name in ("IMG_1", "IMG_2", "IMG_10"):
        (folder / "beach" / f"{name}.jpg").write_text(f"{name} as taken")
    return folder


@pytest.fixture
def service(site: Settings, library: Path) -> Iterator[Open]:
    """Opens a cache as a service of the site does; each has a memory of its own."""
    with ExitStack() as opened:

        def open_cache(**settings: object) -> Cache:
            own = {"origin": library, "lease_s": LEASE_S, "prefetch": False} | settings
            return opened.enter_context(Cache(site.model_copy(update=own)))

        yield open_cache
    with Cache(site.model_copy(update={"memory_bytes": 0})) as cache:
        filled = RedisExpiry(cache.stores.connection).due(time.time() + FAR_S, 10_000)
        for tier in cache.tiers.values():  # the next test starts with nothing
            tier.remove(filled)


@pytest.fixture
def cache(service: Open) -> Cache:
    """The cache of one service."""
    return service()
