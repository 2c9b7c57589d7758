"""A device within its quota: the ledger and the disk tell the same story, whatever happens."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cachekeeper.client.stores import Stores, open_stores
from cachekeeper.core.device import DEMAND, PREFETCH
from cachekeeper.core.request import make_request
from cachekeeper.core.retention import DAY_S, Priority
from cachekeeper.core.stamps import Entry, Moment, Stamp
from cachekeeper.errors import Busy, OriginMissing, QuotaExceeded
from cachekeeper.services.device import RESERVATION_S, DeviceCaches
from cachekeeper.services.evict import EvictionSweep
from cachekeeper.settings import Settings
from cachekeeper.store.blobs import aside

QUOTA = 10_000
HEADROOM = 1_000
DEVICE = "anna-phone"
RACE_S = 1.2


@dataclass
class Host:
    """The devices of a host over a real server and real files, with a clock that we move."""

    stores: Stores
    ahead_s: float = 0
    origin: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.caches = self.opened(self.load)

    def opened(self, load: Callable[[str], Entry]) -> DeviceCaches:
        """Another opener of the same devices."""
        return DeviceCaches(
            devices=self.stores.devices,
            files=self.stores.files,
            load=load,
            quota=QUOTA,
            headroom=HEADROOM,
            now=self.now,
        )

    @property
    def sweep(self) -> EvictionSweep:
        """What beat runs."""
        return EvictionSweep(
            devices=self.stores.devices,
            caches=self.caches,
            quota=QUOTA,
            collect=self.stores.disk.collect,
            now=self.now,
        )

    def now(self) -> float:
        return time.time() + self.ahead_s

    def load(self, path: str) -> Entry:
        """What the tiers would give: a value as of now."""
        as_of = self.stores.marks.now()
        try:
            return self.made(self.origin[path], as_of)
        except KeyError:
            raise OriginMissing(path) from None

    def made(self, body: bytes, as_of: Moment) -> Entry:
        """A value as of a moment."""
        return Entry(body, Stamp(as_of), self.now(), self.now() + 60)

    def edit(self, path: str, body: bytes) -> None:
        """Change a file and invalidate it."""
        self.origin[path] = body
        now = time.time()
        request = make_request(id=f"{path} {now}", at=now, keys=[f"file:{path}"])
        self.stores.marks.mark([request], now)

    def on_disk(self) -> int:
        return self.stores.files.bytes_on_disk(DEVICE)

    def check(self) -> None:
        """Ledger, manifest and disk agree, and nothing is reserved."""
        ledger = self.stores.devices.ledger(DEVICE)
        manifest = self.stores.devices.manifest(DEVICE)
        assert ledger.reserved == 0
        assert ledger.items == len(manifest)
        assert ledger.used == sum(held.size for held in manifest.values())
        assert ledger.used == self.on_disk()
        assert ledger.used <= QUOTA


@pytest.fixture
def host(server_url: str, deployment: str, tmp_path: Path) -> Host:
    settings = Settings(state=tmp_path / "state", deployment=deployment)
    return Host(open_stores(settings, server_url, lambda *_: True))


@pytest.fixture(autouse=True)
def _closed(host: Host) -> object:
    yield
    host.stores.connection.close()


def test_a_file_is_held_after_the_first_read_and_a_hit_from_then_on(host: Host) -> None:
    host.origin["a"] = b"content"
    first, second = host.caches.get(DEVICE, "a"), host.caches.get(DEVICE, "a")
    assert (first.body, first.hit, first.kept) == (b"content", False, True)
    assert (second.body, second.hit, second.kept) == (b"content", True, True)
    ledger = host.stores.devices.ledger(DEVICE)
    assert (ledger.counters["hits"], ledger.counters["misses"]) == (1, 1)
    host.check()


def test_an_empty_file_is_held_too(host: Host) -> None:
    host.origin["empty"] = b""
    host.caches.get(DEVICE, "empty")
    assert host.caches.get(DEVICE, "empty").hit
    host.check()


def test_a_file_of_just_the_quota_fits_and_one_byte_more_does_not(host: Host) -> None:
    host.origin.update(small=b"s" * 10, full=b"f" * QUOTA, larger=b"x" * (QUOTA + 1))
    host.caches.get(DEVICE, "small")
    assert host.caches.get(DEVICE, "full").kept
    assert host.on_disk() == QUOTA
    read = host.caches.get(DEVICE, "larger")  # delivered all the same
    assert (len(read.body), read.kept) == (QUOTA + 1, False)
    assert list(host.stores.devices.manifest(DEVICE)) == ["full"]  # and nothing made way for it
    host.check()


def test_making_room_frees_the_headroom_too(host: Host) -> None:
    for i in range(10):
        host.origin[str(i)] = bytes([i]) * 1000
        host.caches.get(DEVICE, str(i))
    assert host.stores.devices.ledger(DEVICE).used == QUOTA
    host.origin["new"] = b"n" * 1000
    host.caches.get(DEVICE, "new")
    assert host.stores.devices.ledger(DEVICE).used == QUOTA - HEADROOM
    assert set(host.stores.devices.manifest(DEVICE)) == {*map(str, range(2, 10)), "new"}
    host.check()


def test_a_file_that_grows_counts_its_new_size_only(host: Host) -> None:
    host.edit("a", b"a" * 100)
    host.caches.get(DEVICE, "a")
    host.edit("a", b"A" * 4000)
    assert host.caches.get(DEVICE, "a").body == b"A" * 4000
    assert host.stores.devices.ledger(DEVICE).used == 4000
    host.check()


def test_one_content_under_two_names_counts_for_each(host: Host) -> None:
    """A quota must not depend on what others happen to hold."""
    host.origin.update(a=b"same" * 100, b=b"same" * 100)
    host.caches.get(DEVICE, "a")
    host.caches.get(DEVICE, "b")
    host.check()
    host.caches.evict(DEVICE, 1)
    host.check()
    assert len(host.stores.devices.manifest(DEVICE)) == 1


def test_a_file_that_was_edited_is_a_miss_and_its_new_content_is_given(host: Host) -> None:
    host.edit("a", b"old")
    host.caches.get(DEVICE, "a")
    host.edit("a", b"new")
    read = host.caches.get(DEVICE, "a")
    assert (read.body, read.hit) == (b"new", False)
    host.check()


@pytest.mark.parametrize(
    ("priority", "days"),
    [(Priority.LOW, 1), (Priority.MEDIUM, 3), (Priority.HIGH, 7), (Priority.CRITICAL, 30)],
)
def test_a_file_lives_on_a_device_as_long_as_its_priority_says(
    host: Host, priority: Priority, days: int
) -> None:
    host.origin["a"] = b"body"
    host.caches.keep(DEVICE, "a", host.load("a"), priority, DEMAND)
    host.ahead_s = days * DAY_S - 60
    assert host.caches.expire(DEVICE) == []
    host.ahead_s = days * DAY_S + 60
    assert host.caches.expire(DEVICE) == ["a"]
    assert host.on_disk() == 0
    host.check()


def test_a_file_that_expired_is_no_hit_even_before_the_sweep(host: Host) -> None:
    host.origin["a"] = b"body"
    host.caches.get(DEVICE, "a")
    host.ahead_s = 3 * DAY_S + 1
    assert not host.caches.get(DEVICE, "a").hit


def test_what_is_predicted_takes_no_room_from_what_is_worth_more(host: Host) -> None:
    for i in range(10):
        host.origin[str(i)] = bytes([i]) * 1000
        host.caches.get(DEVICE, str(i))
    host.origin["guess"] = b"g" * 1000
    with pytest.raises(QuotaExceeded):
        host.caches.keep(DEVICE, "guess", host.load("guess"), Priority.LOW, PREFETCH)
    assert len(host.stores.devices.manifest(DEVICE)) == 10
    host.check()


def test_what_was_predicted_and_never_read_goes_before_what_was_read_once(host: Host) -> None:
    """An hour of age is worth less than one access: 0.4 * 1 h / 30 d < 0.2 / 100."""
    host.origin.update(read=b"r" * 100, guess=b"g" * 100)
    host.caches.keep(DEVICE, "read", host.load("read"), Priority.LOW, DEMAND)
    host.ahead_s = 3600
    host.caches.keep(DEVICE, "guess", host.load("guess"), Priority.LOW, PREFETCH)
    assert host.caches.evict(DEVICE, 1) == ["guess"]


def test_a_failed_store_leaves_the_last_good_copy_and_no_reservation(host: Host) -> None:
    host.edit("a", b"good")
    host.caches.get(DEVICE, "a")
    (target,) = host.stores.files.folder_of(DEVICE).iterdir()
    aside = target.with_name("aside")
    target.rename(aside)
    (target / "in the way").mkdir(parents=True)  # renaming a file over this must fail
    with pytest.raises(OSError, match="directory"):
        host.caches.keep(DEVICE, "a", host.load("a"), Priority.LOW, DEMAND)
    (target / "in the way").rmdir()
    target.rmdir()
    aside.rename(target)
    host.ahead_s = RESERVATION_S + 1
    host.sweep.run()
    assert copy_of(host, b"good") == b"good"
    host.check()


def test_what_is_let_go_counts_until_its_file_is_gone(host: Host) -> None:
    """Or somebody else would fill the room before it is there."""
    host.origin["a"] = b"a" * 500
    counted: list[int] = []
    remove = type(host.stores.files).delete

    def watched(*given: Any) -> None:
        ledger = host.stores.devices.ledger(DEVICE)
        counted.append(ledger.used + ledger.reserved)
        remove(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(host.stores.files), "delete", watched)
        host.caches.get(DEVICE, "a")
        assert host.caches.evict(DEVICE, 1) == ["a"]
        host.caches.get(DEVICE, "a")
        host.ahead_s = 3 * DAY_S + 1
        assert host.caches.expire(DEVICE) == ["a"]
    assert counted == [500, 500]
    host.check()


def test_a_path_that_is_being_stored_is_busy_for_others_and_delivered_to_them(host: Host) -> None:
    host.origin["a"] = b"body"
    assert host.stores.devices.reserve(DEVICE, "a", 4, QUOTA, "token", host.now() + 60) == 0
    with pytest.raises(Busy):
        host.caches.keep(DEVICE, "a", host.load("a"), Priority.LOW, DEMAND)
    read = host.caches.get(DEVICE, "a")
    assert (read.body, read.kept) == (b"body", False)


@pytest.mark.parametrize("held_before", [True, False])
def test_what_a_killed_process_reserved_comes_back(host: Host, held_before: bool) -> None:
    if held_before:
        host.edit("a", b"good")
        host.caches.get(DEVICE, "a")
    devices = host.stores.devices
    assert devices.reserve(DEVICE, "a", 6000, QUOTA, "dead", host.now() + RESERVATION_S) == 0
    host.stores.files.put(DEVICE, "a", b"h" * 6000)  # and here it was killed
    assert host.sweep.run()["reservations_settled"] == 0  # not before its time
    host.ahead_s = RESERVATION_S + 1
    assert host.sweep.run()["reservations_settled"] == 1
    assert copy_of(host, b"good") == (b"good" if held_before else None)
    host.check()


def test_what_a_killed_process_had_put_down_is_not_taken_for_what_the_manifest_says(
    host: Host,
) -> None:
    """A slow fetch of the old content, overtaken by an edit, puts its file and is killed."""
    host.edit("a", b"old")
    overtaken = host.load("a")
    host.edit("a", b"new")
    host.caches.get(DEVICE, "a")
    host.stores.devices.reserve(DEVICE, "a", 3, QUOTA, "dead", host.now() + RESERVATION_S)
    host.stores.files.put(DEVICE, "a", overtaken.body)  # and here it was killed
    assert host.caches.get(DEVICE, "a").body == b"new"


def test_a_store_whose_reservation_ran_out_gives_way(host: Host) -> None:
    """Its holder was stopped for longer than a reservation lasts, and the sweep tidied up."""
    host.origin["a"] = b"a" * 100
    files, put = host.stores.files, host.stores.files.put

    def slow(device: str, path: str, body: bytes) -> str:
        host.ahead_s += RESERVATION_S + 1
        host.sweep.run()
        return put(device, path, body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(files), "put", lambda _, *given: slow(*given))
        host.caches.get(DEVICE, "a")
    host.check()


def test_a_link_that_a_killed_process_left_is_no_obstacle(host: Host) -> None:
    """Killed between link and rename; in a container the next process even has the same id."""
    host.edit("a", b"old")
    host.caches.get(DEVICE, "a")
    (target,) = host.stores.files.folder_of(DEVICE).iterdir()
    target.with_name(aside(target.name)).hardlink_to(target)
    host.edit("a", b"new")
    assert host.caches.get(DEVICE, "a").kept
    host.check()
    target.with_name(aside(target.name)).hardlink_to(target)
    host.caches.evict(DEVICE, 1)
    host.check()


def test_the_bytes_on_disk_never_exceed_the_quota_while_many_read_at_once(host: Host) -> None:
    """Four threads, as four processes would; the quota is asked of the file system."""
    rnd = random.Random(7)
    for i in range(60):
        host.origin[f"f{i}"] = bytes([i % 50]) * rnd.randrange(0, 2500)
    end, peak = time.monotonic() + RACE_S, [0]
    stop = threading.Event()

    def read(seed: int) -> int:
        mine, kept = random.Random(seed), 0
        caches = host.opened(host.load)
        while time.monotonic() < end:
            path = f"f{mine.randrange(60)}"
            if mine.random() < 0.1:
                caches.evict(DEVICE, mine.randrange(4000))
            elif mine.random() < 0.1:
                host.edit(path, host.origin[path])
            else:
                read = caches.get(DEVICE, path)
                assert read.body == host.origin[path]
                kept += read.kept
        return kept

    def sample() -> None:
        while not stop.is_set():
            peak[0] = max(peak[0], host.on_disk())

    with ThreadPoolExecutor(5) as threads:
        sampler = threads.submit(sample)
        readers = [threads.submit(read, seed) for seed in range(4)]
        wait(readers)
        stop.set()
    sampler.result()
    assert sum(reader.result() for reader in readers) > 20
    assert 0 < peak[0] <= QUOTA
    host.check()


def test_two_sweeps_and_readers_at_once_leave_the_blobs_that_are_needed(host: Host) -> None:
    """The collector meets writers in the middle of their work, and takes nothing of theirs."""
    rnd = random.Random(3)
    for i in range(40):
        host.origin[f"f{i}"] = rnd.randbytes(1000)
    end = time.monotonic() + RACE_S / 2

    def read(seed: int) -> None:
        mine = random.Random(seed)
        while time.monotonic() < end:
            path = f"f{mine.randrange(40)}"
            assert host.caches.get(DEVICE, path).body == host.origin[path]

    def sweep() -> None:
        while time.monotonic() < end:
            host.sweep.run()
            host.stores.disk.collect(0.2)

    with ThreadPoolExecutor(4) as threads:
        work = [threads.submit(read, 1), threads.submit(read, 2)]
        work += [threads.submit(sweep), threads.submit(sweep)]
    for done in work:
        done.result()
    host.check()


def copy_of(host: Host, content: bytes) -> bytes | None:
    """What the device holds of a content under the path "a"."""
    return host.stores.files.get(DEVICE, "a", hashlib.sha256(content).hexdigest())
