"""Four strategies by three levels of consistency, as the workers and beat that ship do them.

A table says what holds for each. A service in a process of its own reads through its memory all the
while; bounds count from the dispatch, which is when a worker began.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from cachekeeper.client.cache import Cache
from cachekeeper.client.receipt import ReceiptHandle
from cachekeeper.core.dead import Kind, Letter
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.stamps import source_of_key
from cachekeeper.local.services import application_root, application_services
from cachekeeper.local.spawn import Guardian, spawn
from cachekeeper.local.state import State
from cachekeeper.settings import PREFIX, Settings
from cachekeeper.store.redis.dead import RedisDeadLetters
from tests.integration.reading_node import photos_of
from tests.support import fresh_deployment, wait_until

BROKER_DATABASE: Final = "/8"  # queues have one name in all deployments: these are nobody else's
SERVICES: Final = ("immediate", "general", "beat")
DONE_S: Final = 30.0
STARTED_S: Final = 60.0
#: Beat comes often, so that what waits for it is seen within seconds.
SOON: Final = {"scheduled_flush_s": 1.5, "background_flush_s": 1.5, "lazy_sweep_s": 1}


class Row(NamedTuple):
    """What holds for a strategy at a level of consistency."""

    strategy: str
    consistency: str
    waits: bool  # for beat; until then the old value is served
    bound_s: float  # from the dispatch until no read returns the old value; 0: until the receipt
    verified: bool  # by every node, or the receipt does not say done
    attempts: int  # at what fails
    removes: bool  # bytes at once; or the sweep does

    @property
    def name(self) -> str:
        """Of the file that its request is about."""
        return f"{self.strategy}-{self.consistency}"


TABLE: Final = (
    Row("immediate", "strict", False, 0, True, 4, True),
    Row("immediate", "eventual", False, 5, False, 2, True),
    Row("immediate", "relaxed", False, 30, False, 1, True),
    Row("scheduled", "strict", True, 0, True, 4, True),
    Row("scheduled", "eventual", True, 5, False, 2, True),
    Row("scheduled", "relaxed", True, 30, False, 1, True),
    Row("lazy", "strict", False, 0, True, 4, False),
    Row("lazy", "eventual", False, 5, False, 2, False),
    Row("lazy", "relaxed", False, 30, False, 1, False),
    Row("background", "strict", True, 0, True, 4, True),
    Row("background", "eventual", True, 5, False, 2, True),
    Row("background", "relaxed", True, 30, False, 1, True),
)
every_row = pytest.mark.parametrize("row", TABLE, ids=[row.name for row in TABLE])


class Read(NamedTuple):
    """One read of the node; times in seconds since 1970."""

    name: str
    begin: float
    end: float
    value: str


class Site:
    """The product's processes, a node, and a client to ask with."""

    def __init__(self, folder: Path, cache: Cache, node: subprocess.Popen[bytes]) -> None:
        self.cache, self.node = cache, node
        self._library, self._seen = folder / "library", folder / "seen"
        self.photos = photos_of(cache, self._library)
        self.thumbs = cache.namespace("thumb", on_disk=True)
        self.thumbs.loader(lambda name: b"small " + self.photos.get(name))

    def write(self, row: Row, value: str) -> None:
        """A new version of a file."""
        (self._library / row.name).write_text(value)

    def ask(self, row: Row, key: str = "") -> ReceiptHandle:
        """The request of a row."""
        return self.cache.invalidate(
            key or f"photo:{row.name}", strategy=row.strategy, consistency=row.consistency
        )

    def reads(self, row: Row) -> list[Read]:
        """What the node has read of a file until now."""
        found = []
        for line in self._seen.read_text().splitlines(keepends=True):
            name, *rest = line.split()
            if name == row.name and line.endswith("\n"):
                found.append(Read(name, float(rest[0]), float(rest[1]), rest[2]))
        return found

    def has_read(self, row: Row, value: str) -> bool:
        """Whether the node has seen a version."""
        return any(read.value == value for read in self.reads(row))

    def bytes_of(self, key: str) -> list[str]:
        """The shared tiers that hold an entry, fresh or not."""
        tiers = (self.cache.stores.redis, self.cache.stores.disk)
        return [tier.name for tier in tiers if tier.present([key])]

    def letter(self, request: str) -> Letter | None:
        """The dead letter of a request."""
        letters = RedisDeadLetters(self.cache.stores.connection).newest()
        return next((letter for letter in letters if letter.arguments.get("id") == request), None)


@pytest.fixture(scope="module")
def site(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Everything runs, and all files are in the memory of the node."""
    folder, root = tmp_path_factory.mktemp("twelve"), application_root()
    assert root is not None
    (folder / "library").mkdir()
    for row in TABLE:
        (folder / "library" / row.name).write_text("old")
    with ExitStack() as stack:
        given = {
            "cache_url": server_url,
            "broker_url": server_url.removesuffix("/0") + BROKER_DATABASE,
            "deployment": stack.enter_context(fresh_deployment(server_url)),
            "state": str(folder / "state"),
            **SOON,
        }
        settings = Settings(**given)  # type: ignore[arg-type]  # texts, as of the environment
        ours = {f"{PREFIX}{name.upper()}": str(value) for name, value in given.items()}
        state = State(settings.state)
        state.create()
        guardian = stack.enter_context(Guardian())
        log = stack.enter_context((folder / "log").open("ab"))

        def start(argv: list[str], env: dict[str, str], nice: int = 0) -> subprocess.Popen[bytes]:
            env = {**os.environ, **ours, **env}
            process = spawn(argv, guardian, output=log, env=env, cwd=root, nice=nice)
            stack.callback(guardian.remove, process.pid)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        for service in application_services(root, state, settings, {}):
            if service.name in SERVICES:
                start(list(service.argv), dict(service.env), service.nice)
        module = [sys.executable, "-m", "tests.integration.reading_node"]
        names = [row.name for row in TABLE]
        node = start([*module, str(folder / "library"), str(folder / "seen"), *names], {})
        far = settings.model_copy(update={"memory_bytes": 0})  # the one node is the other process
        site = Site(folder, stack.enter_context(Cache(far)), node)
        for row in TABLE:
            site.thumbs.get(row.name)
        wait_until(lambda: (folder / "seen").exists(), STARTED_S)
        wait_until(lambda: site.has_read(TABLE[-1], "old"), STARTED_S)
        yield site


@pytest.fixture(scope="module")
def receipts(site: Site) -> dict[Row, Receipt]:
    """Every file has changed, and every row has had its request: those of one level together."""
    found: dict[Row, Receipt] = {}
    for level in ("relaxed", "eventual", "strict"):  # a strict one has its batch confirmed
        rows = [row for row in TABLE if row.consistency == level]
        for row in rows:
            site.write(row, "new")
        handles = {row: site.ask(row) for row in rows}
        found |= {row: handle.wait(DONE_S, purged=True) for row, handle in handles.items()}
    wait_until(lambda: all(site.has_read(row, "new") for row in TABLE), DONE_S)
    return found


@pytest.mark.slow
@every_row
def test_the_old_value_is_served_until_the_dispatch_and_not_after_the_bound(
    site: Site, receipts: dict[Row, Receipt], row: Row
) -> None:
    receipt, reads = receipts[row], site.reads(row)
    old = [read for read in reads if read.value == "old"]
    assert {read.value for read in reads if read.end < receipt.started} == {"old"}
    if row.waits:
        assert any(read.begin > receipt.submitted for read in old)
    last = receipt.started + row.bound_s if row.bound_s else receipt.finished
    assert old[-1].begin <= last
    new = [read for read in reads if read.value == "new"]
    assert old[-1].begin < new[0].begin, "never back"


@pytest.mark.slow
@every_row
def test_a_receipt_tells_what_was_done(receipts: dict[Row, Receipt], row: Row) -> None:
    receipt = receipts[row]
    assert (receipt.status, receipt.error) == (Status.DONE, "")
    assert (receipt.strategy, receipt.consistency) == (row.strategy, row.consistency)
    assert receipt.names == [f"photo:{row.name}"]
    assert receipt.affected == [f"photo:{row.name}", f"thumb:{row.name}"]
    assert receipt.submitted <= receipt.started <= receipt.marked <= receipt.finished
    assert len(receipt.nodes_asked) == 1
    assert receipt.nodes_fenced == []
    assert set(receipt.verified) >= {"disk", "redis"}
    if row.verified:
        assert "memory" in receipt.verified


@pytest.mark.slow
@every_row
def test_bytes_are_removed_at_once_or_by_the_sweep(
    site: Site, receipts: dict[Row, Receipt], row: Row
) -> None:
    """Of the thumbnail, which nobody reads: a read would remove what is stale."""
    removed = receipts[row].batch_removed
    if row.removes:
        assert removed["redis"] >= 1
        assert removed["disk"] >= 1
        assert site.bytes_of(f"thumb:{row.name}") == []
    else:
        assert removed == {}
        wait_until(lambda: not site.bytes_of(f"thumb:{row.name}"), DONE_S)


@pytest.mark.slow
@pytest.mark.usefixtures("receipts")
@pytest.mark.parametrize("level", ["eventual", "relaxed"])
def test_without_verification_nobody_waits_for_a_node_that_is_silent(
    site: Site, level: str
) -> None:
    rows = [row for row in TABLE if row.consistency == level]
    site.node.send_signal(signal.SIGSTOP)
    try:
        found = [handle.wait(DONE_S) for handle in [site.ask(row) for row in rows]]
    finally:
        site.node.send_signal(signal.SIGCONT)
    for receipt in found:
        assert receipt.status is Status.DONE
        assert receipt.verified == ["disk", "redis"], "its memory is bound by its lease alone"
        assert receipt.nodes_fenced == []


@pytest.fixture(scope="module")
def failed(site: Site, receipts: dict[Row, Receipt]) -> Iterator[dict[Row, Receipt]]:  # noqa: ARG001  # goes first
    """What each row says of a request that can't be done: there is no set in a group's place."""
    layout, client = site.cache.stores.connection.layout, site.cache.stores.connection.redis
    keys = {row: f"broken:{row.name}" for row in TABLE}
    places = [layout.groups_of(source_of_key(key)) for key in keys.values()]
    client.zadd(layout.groups, {"g:some": time.time() + 600})  # else nobody looks for any
    for place in places:
        client.set(place, "no set")
    handles = {row: site.ask(row, key) for row, key in keys.items()}
    yield {row: handle.wait(DONE_S) for row, handle in handles.items()}
    client.delete(*places)
    client.zrem(layout.groups, "g:some")


@pytest.mark.slow
@every_row
def test_what_fails_is_tried_as_often_as_its_consistency_says(
    site: Site, failed: dict[Row, Receipt], row: Row
) -> None:
    receipt = failed[row]
    assert receipt.status is Status.FAILED
    assert "WRONGTYPE" in receipt.error
    assert (receipt.strategy, receipt.consistency) == (row.strategy, row.consistency)
    letter = wait_until(lambda: site.letter(receipt.id))
    assert (letter.kind, letter.attempts) == (Kind.GAVE_UP, row.attempts)
    if row.bound_s:
        assert letter.died - letter.first_seen <= row.bound_s
