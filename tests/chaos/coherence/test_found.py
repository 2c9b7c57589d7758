"""What the checker found, or looking at its faults did, each by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from cachekeeper.client.cache import Cache
from cachekeeper.core.request import Request, make_request
from cachekeeper.core.stamps import Moment
from cachekeeper.local.server import EmbeddedServer
from cachekeeper.services.confirm import Confirmer
from cachekeeper.settings import load
from tests.support import unused_port


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with EmbeddedServer(tmp_path / "server", port=unused_port()) as server:
        urls = {"cache_url": server.url, "broker_url": server.url}
        with Cache(load(state=tmp_path / "state", **urls)) as opened:
            yield opened


def test_the_child_of_a_fork_does_not_sign_its_parent_off(cache: Cache) -> None:
    """The parent went on serving from memory, and strict did not wait for it."""
    before = cache.stores.nodes.acknowledged()[1]
    child = os.fork()
    if child == 0:
        try:
            cache.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert cache.stores.nodes.acknowledged()[1].keys() == before.keys() != set()


def test_a_join_that_arrives_twice_acknowledges_nothing(cache: Cache) -> None:
    """It was sent again when no answer came; the first one, late, vouched for what came between."""
    stores = cache.stores
    stores.nodes.join("n")
    request = make_request(id="r", at=time.time(), keys=["a:x"])
    moment = stores.marks.mark([request], time.time())[0]
    stores.nodes.join("n")
    assert stores.nodes.acknowledged()[1]["n"] < moment.epoch


class _Silent:
    """A node that was silent when it was asked, and is unknown when it is to be fenced."""

    def acknowledged(self) -> tuple[int, dict[str, int]]:
        return 1, {"n": 0}

    def wait(self, epoch: int, timeout_s: float) -> tuple[int, dict[str, int]]:  # noqa: ARG002  # the port's
        return self.acknowledged()

    def fence(self, epoch: int) -> list[str]:  # noqa: ARG002  # the port's
        return []

    def fence_silent(self, for_s: float) -> list[str]:  # noqa: ARG002  # the port's
        return []

    def outwait_s(self, nodes: Collection[str] | None = None) -> float:  # noqa: ARG002  # the port's
        return 0.01

    def leave(self, nodes: Iterable[str]) -> None:  # noqa: ARG002  # the port's
        raise AssertionError


class _Restarted:
    """The clock of a server that came back empty meanwhile."""

    def now(self) -> Moment:
        return Moment(2, 0)

    def mark(self, requests: Sequence[Request], now: float) -> list[Moment]:  # noqa: ARG002  # the port's
        raise AssertionError


def test_a_server_that_was_emptied_before_the_fence_confirms_nothing() -> None:
    confirmer = Confirmer(
        marks=_Restarted(),
        nodes=_Silent(),
        known_for=lambda _: 60.0,
        ack_timeout_s=0.01,
    )
    assert not confirmer.confirm(Moment(1, 1)).holds
