"""The sweeps: what is expired, lazily invalidated or too much goes, and nothing else."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from pathlib import Path

import pytest

from cachekeeper.client.cache import FLUSH, Cache
from cachekeeper.core.device import DEMAND, Place, Wish
from cachekeeper.core.retention import Priority
from cachekeeper.core.stamps import Entry, Found, Stamp
from cachekeeper.core.strategy import STRATEGIES, Strategy
from cachekeeper.names import Task
from cachekeeper.services.evict import BLOB_AGE_S
from tests.support import wait_until
from tests.tasks.conftest import Run
from workers.wiring import Wiring

DONE_S = 10
QUOTA = 10_000
PIECE = 970  # ten of them lie between the high-water mark and the quota


class TestExpiry:
    """Removes what has lived its time from every shared tier, the index and the graph."""

    def test_expired_values_go_and_others_stay(self, cache: Cache, run: Run) -> None:
        tiers, graph = (cache.stores.redis, cache.stores.disk), cache.stores.graph
        now, moment = time.time(), cache.stores.marks.now()
        cache.namespace("photo", on_disk=True)
        for key, expires in {"photo:old": now + 0.2, "photo:new": now + 60}.items():
            found = Found(Entry(b"bytes", Stamp(moment), now, expires), moment)
            for tier in tiers:
                assert tier.fill(key, found) is not None
        graph.link("photo:old", ["file:old"])
        wait_until(lambda: time.time() > now + 0.2)

        figures = run(Task.SWEEP_EXPIRED)

        assert figures == {"entries": 1, "nodes_pruned": 1, "cascaded": 0, "device_files": 0}
        for tier in tiers:
            assert tier.present(["photo:old", "photo:new"]) == ["photo:new"]
        assert "photo:old" not in graph.nodes()
        assert run(Task.SWEEP_EXPIRED)["entries"] == 0

    def test_a_file_whose_lifetime_has_passed_leaves_its_device(
        self, wiring: Wiring, run: Run, origin: Path
    ) -> None:
        for name in ("old.txt", "new.txt"):
            (origin / name).write_text(name)
            wiring.cache.device_caches.get("phone", name)
        age(wiring, "phone", "old.txt")

        assert run(Task.SWEEP_EXPIRED)["device_files"] == 1

        devices, files = wiring.cache.stores.devices, wiring.cache.stores.files
        assert set(devices.manifest("phone")) == {"new.txt"}
        assert files.bytes_on_disk("phone") == len("new.txt")
        ledger = devices.ledger("phone")
        assert (ledger.used, ledger.reserved) == (len("new.txt"), 0)


def age(wiring: Wiring, device: str, path: str) -> None:
    """Store a device's file once more, as if its lifetime had passed a moment ago."""
    caches, now = wiring.cache.device_caches, time.time()
    held = wiring.cache.stores.devices.entry(device, path)
    assert held is not None
    assert caches.forget(device, path, held.copy) is False, "it is there"
    wiring.cache.stores.files.delete(device, [held.copy])
    assert caches.forget(device, path, held.copy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caches, "_now", lambda: now - Priority.MEDIUM.lifetime_s - 1)
        caches.get(device, path)


class TestLazy:
    """Removes the bytes of what was invalidated lazily and not read since."""

    def test_the_bytes_stay_until_the_sweep_unless_they_are_fresh_again(
        self, cache: Cache, run: Run
    ) -> None:
        photos = cache.namespace("photo", on_disk=True)
        shared = (cache.stores.redis, cache.stores.disk)
        photos.loader(lambda name: name.encode())
        for name in "ab":
            photos.get(name)
        asked = cache.invalidate(["photo:a", "photo:b"], strategy=Strategy.LAZY)
        receipt = asked.wait(DONE_S, purged=True)
        assert receipt.batch_removed == {}
        assert all(tier.present(["photo:a", "photo:b"]) for tier in shared)
        wait_until(lambda: not cache.tiers["memory"].read("photo:b"))
        photos.get("b")  # filled again

        assert run(Task.SWEEP_LAZY) == {"disk": 1, "redis": 1}

        for tier in shared:
            assert tier.present(["photo:a", "photo:b"]) == ["photo:b"]
        assert run(Task.SWEEP_LAZY) == {"disk": 0, "redis": 0}


class TestEviction:
    """Holds devices to their quotas and sets right what crashed."""

    @pytest.fixture
    def given(self) -> dict[str, object]:
        """A quota that ten pieces nearly fill."""
        return {"device_quota": QUOTA, "device_headroom": 10}

    def test_a_device_above_its_high_water_mark_loses_what_is_worth_least(
        self, wiring: Wiring, run: Run, origin: Path
    ) -> None:
        names = [f"piece_{i}" for i in range(10)]
        for name in names:
            (origin / name).write_bytes(os.urandom(PIECE))
            wiring.cache.device_caches.get("phone", name)
        wiring.cache.device_caches.get("phone", names[0])  # so the second is the oldest
        devices, files = wiring.cache.stores.devices, wiring.cache.stores.files
        assert devices.ledger("phone").used == files.bytes_on_disk("phone") == 10 * PIECE

        assert run(Task.SWEEP_DEVICES)["evicted"] == 1

        assert devices.ledger("phone").used == files.bytes_on_disk("phone") == 9 * PIECE
        assert sorted(devices.manifest("phone")) == [names[0], *names[2:]]
        assert run(Task.SWEEP_DEVICES)["evicted"] == 0, "below the mark nothing goes"

    def test_the_reservation_of_one_that_died_is_given_back(self, wiring: Wiring, run: Run) -> None:
        devices, now = wiring.cache.stores.devices, time.time()
        limits = wiring.cache.device_caches.limits("phone")
        for path, size, deadline in (("dead", 100, now - 1), ("alive", 200, now + 60)):
            wish = Wish(path, size, uuid.uuid4().hex, DEMAND, 0.5, now, deadline)
            assert devices.reserve("phone", wish, limits, Place(), "").granted
        assert run(Task.SWEEP_DEVICES)["reservations_settled"] == 1
        assert devices.ledger("phone").reserved == 200

    def test_blobs_that_nothing_names_are_collected_once_they_are_old(
        self, wiring: Wiring, cache: Cache, run: Run
    ) -> None:
        photos = cache.namespace("photo", on_disk=True)
        photos.loader(lambda name: name.encode())
        photos.get("named")
        blobs = wiring.cache.stores.blobs
        blobs.put(b"orphan")
        assert run(Task.SWEEP_DEVICES)["blobs_collected"] == 0, "too young to judge"
        long_ago = time.time() - BLOB_AGE_S - 1
        for body in (b"orphan", b"named"):
            digest = hashlib.sha256(body).hexdigest()
            os.utime(blobs.folder / digest[:2] / digest, (long_ago, long_ago))

        figures = run(Task.SWEEP_DEVICES)

        assert (figures["blobs_collected"], figures["bytes_freed"]) == (1, len(b"orphan"))
        assert list(blobs.digests()) == [hashlib.sha256(b"named").hexdigest()]


class TestPrepared:
    """Does what units of work left to their deadline."""

    @pytest.mark.parametrize("strategy", Strategy)
    def test_it_is_done_once_its_deadline_has_passed(
        self, cache: Cache, run: Run, strategy: Strategy
    ) -> None:
        work = cache.unit_of_work(deadline_s=0.1, strategy=strategy)
        work.invalidate("photo:a")
        work.prepare()
        wait_until(lambda: run(Task.FIRE_PREPARED)["fired"])
        if STRATEGIES[strategy].waits:
            wait_until(lambda: cache.stores.pending.waiting(strategy))
            run(FLUSH[strategy])
        (receipt,) = wait_until(lambda: [r for r in cache.stores.receipts.recent(5) if r.ended])
        assert (receipt.names, receipt.strategy) == (["photo:a"], strategy)
        assert cache.stores.marks.now().epoch == 1
        assert run(Task.FIRE_PREPARED) == {"fired": 0}
        assert run(Task.CLEAN_PENDING)["requests_forgotten"] == 0
