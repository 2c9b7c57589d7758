"""A device within its quota: the ledger and the disk tell the same story, whatever happens."""

from __future__ import annotations

import errno
import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cachekeeper.client.content import FileSource
from cachekeeper.client.stores import Stores, open_stores
from cachekeeper.core.device import DEMAND, PREFETCH, Limits, Place, Wish
from cachekeeper.core.request import make_request
from cachekeeper.core.retention import DAY_S, Priority
from cachekeeper.core.stamps import Entry, Stamp
from cachekeeper.errors import Busy, QuotaExceeded
from cachekeeper.origin.folder import FolderOrigin
from cachekeeper.services.device import RESERVATION_S, DeviceCaches
from cachekeeper.services.evict import EvictionSweep
from cachekeeper.settings import Settings

QUOTA = 10_000
HEADROOM = 1_000
SMALL = 2_000  # larger files are streamed
DEVICE = "anna-phone"
RACE_S = 1.2


class Library:
    """Files of a real folder, written like entries of a dictionary."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    def __setitem__(self, path: str, body: bytes) -> None:
        new = self.folder / f".{path}.{threading.get_ident()}"  # of this thread
        new.write_bytes(body)
        new.replace(self.folder / path)

    def __getitem__(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def update(self, **files: bytes) -> None:
        for path, body in files.items():
            self[path] = body


@dataclass
class Host:
    """The devices of a host over a real server and real files, with a clock that we move."""

    stores: Stores
    folder: Path
    limits: Limits = field(default_factory=lambda: Limits(QUOTA, HEADROOM, "retention"))
    ahead_s: float = 0

    def __post_init__(self) -> None:
        self.origin = Library(self.folder)
        self.source = FileSource(
            origin=FolderOrigin(self.folder),
            load=self.load,
            redis=self.stores.redis,
            disk=self.stores.disk,
            blobs=self.stores.blobs,
            marks=self.stores.marks,
            small=SMALL,
            ttl_s=60,
        )
        self.caches = self.opened()

    def opened(self) -> DeviceCaches:
        """Another opener of the same devices."""
        return DeviceCaches(
            devices=self.stores.devices,
            files=self.stores.files,
            source=self.source,
            limits=lambda _: self.limits,
            now=self.now,
        )

    def keep(self, path: str, priority: Priority, by: str) -> None:
        """Have the device hold a file."""
        self.caches.fetch(DEVICE, path, priority, by)

    @property
    def sweep(self) -> EvictionSweep:
        """What beat runs."""
        return EvictionSweep(
            devices=self.stores.devices,
            files=self.stores.files,
            caches=self.caches,
            collect=self.stores.disk.collect,
            now=self.now,
        )

    def now(self) -> float:
        return time.time() + self.ahead_s

    def load(self, path: str) -> Entry:
        """What the tiers would give of a small file: a value as of now."""
        as_of = self.stores.marks.now()
        return Entry(self.source._origin.read(path), Stamp(as_of), self.now(), self.now() + 60)

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
        copies = {held.copy: held.size for held in manifest.values()}
        assert copies == self.stores.files.sizes(DEVICE)
        for held in manifest.values():
            assert self.stores.blobs.size(held.sha256) == held.size


@pytest.fixture
def host(server_url: str, deployment: str, tmp_path: Path) -> Host:
    settings = Settings(state=tmp_path / "state", deployment=deployment)
    stores = open_stores(settings, server_url, lambda *_: True)
    return Host(stores, tmp_path / "origin")


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
    host.keep("a", priority, DEMAND)
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
        host.keep("guess", Priority.LOW, PREFETCH)
    assert len(host.stores.devices.manifest(DEVICE)) == 10
    host.check()


def test_what_was_predicted_and_never_read_goes_before_what_was_read_once(host: Host) -> None:
    """An hour of age is worth less than one access: 0.4 * 1 h / 30 d < 0.2 / 100."""
    host.origin.update(read=b"r" * 100, guess=b"g" * 100)
    host.keep("read", Priority.LOW, DEMAND)
    host.ahead_s = 3600
    host.keep("guess", Priority.LOW, PREFETCH)
    assert host.caches.evict(DEVICE, 1) == ["guess"]


def test_a_failed_store_leaves_the_last_good_copy_and_no_reservation(host: Host) -> None:
    host.edit("a", b"good")
    host.caches.get(DEVICE, "a")
    host.edit("a", b"new and never there")

    def broken(*_: object) -> bool:
        raise OSError(errno.EIO, "the disk is broken")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(host.stores.files), "link", broken)
        with pytest.raises(OSError, match="broken"):
            host.keep("a", Priority.LOW, DEMAND)
    assert copy_of(host) == b"good"
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
        host.edit("a", b"b" * 300)  # beside the new copy, until that is committed
        host.caches.get(DEVICE, "a")
        host.ahead_s = 3 * DAY_S + 1
        assert host.caches.expire(DEVICE) == ["a"]
    assert counted == [500, 500 + 300, 300]
    host.check()


def test_a_path_that_is_being_stored_is_busy_for_others_and_delivered_to_them(host: Host) -> None:
    host.origin["a"] = b"body"
    assert reserved(host, "a", 4)
    with pytest.raises(Busy):
        host.keep("a", Priority.LOW, DEMAND)
    read = host.caches.get(DEVICE, "a")
    assert (read.body, read.kept) == (b"body", False)


@pytest.mark.parametrize("held_before", [True, False])
def test_what_a_killed_process_reserved_comes_back(host: Host, held_before: bool) -> None:
    if held_before:
        host.edit("a", b"good")
        host.caches.get(DEVICE, "a")
    token = reserved(host, "a", 6000)
    host.stores.files.link(DEVICE, token, host.stores.blobs.put(b"h" * 6000))  # and was killed
    assert host.sweep.run()["reservations_settled"] == 0  # not before its time
    host.ahead_s = RESERVATION_S + 1
    assert host.sweep.run()["reservations_settled"] == 1
    assert copy_of(host) == (b"good" if held_before else None)
    host.check()


def test_what_a_killed_process_was_deleting_is_deleted(host: Host) -> None:
    host.origin.update(a=b"a" * 100, b=b"b" * 200)
    host.caches.get(DEVICE, "a")
    host.caches.get(DEVICE, "b")
    token = uuid.uuid4().hex
    limits, deadline = host.limits, host.now() + RESERVATION_S
    gone = host.stores.devices.evict(DEVICE, 1, token, deadline, limits)  # and was killed
    assert (gone.paths, gone.bytes) == (("a",), 100)
    assert host.stores.devices.ledger(DEVICE).reserved == 100
    host.ahead_s = RESERVATION_S + 1
    assert host.sweep.run()["reservations_settled"] == 1
    host.check()


def test_what_a_killed_process_had_replaced_is_deleted(host: Host) -> None:
    host.edit("a", b"old" * 100)
    host.caches.get(DEVICE, "a")
    host.edit("a", b"new")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DeviceCaches, "_let_go", lambda *_: None)  # it was killed after the commit
        assert host.caches.get(DEVICE, "a").body == b"new"
    ledger = host.stores.devices.ledger(DEVICE)
    assert (ledger.used, ledger.reserved, host.on_disk()) == (3, 300, 303)
    host.ahead_s = RESERVATION_S + 1
    assert host.sweep.run()["reservations_settled"] == 1
    assert copy_of(host) == b"new"
    host.check()


def test_a_store_whose_reservation_ran_out_gives_way(host: Host) -> None:
    """Its holder was stopped for longer than a reservation lasts, and the sweep tidied up."""
    host.origin["a"] = b"a" * 100
    link = host.stores.files.link

    def slow(*given: str) -> bool:
        linked = link(*given)
        host.ahead_s += RESERVATION_S + 1
        host.sweep.run()
        return linked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(host.stores.files), "link", lambda _, *given: slow(*given))
        read = host.caches.get(DEVICE, "a")
    assert (read.body, read.kept) == (b"a" * 100, False)
    host.check()


def test_a_copy_that_nothing_names_goes_with_the_sweep(host: Host) -> None:
    """Its maker was stopped until its reservation had passed, and killed before it could clean."""
    host.origin["a"] = b"good"
    host.caches.get(DEVICE, "a")
    stray = uuid.uuid4().hex
    host.stores.files.link(DEVICE, stray, host.stores.blobs.put(b"never committed"))
    assert host.sweep.run()["copies_repaired"] == 1
    assert host.caches.get(DEVICE, "a").hit
    host.check()


def test_an_entry_whose_file_is_gone_is_read_anew_or_goes_with_the_sweep(host: Host) -> None:
    host.origin.update(a=b"a" * 100, b=b"b" * 100)
    for path in "ab":
        host.caches.get(DEVICE, path)
    for file in host.stores.files.folder_of(DEVICE).iterdir():
        file.unlink()
    read = host.caches.get(DEVICE, "a")
    assert (read.body, read.hit, read.kept) == (b"a" * 100, False, True)
    counters = host.stores.devices.ledger(DEVICE).counters
    assert (counters["hits"], counters["misses"]) == (0, 3)
    assert host.sweep.run()["copies_repaired"] == 1
    assert set(host.stores.devices.manifest(DEVICE)) == {"a"}
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
        caches = host.opened()
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


def copy_of(host: Host) -> bytes | None:
    """What the device holds under the path "a"."""
    held = host.stores.devices.entry(DEVICE, "a")
    file = host.stores.files.open(DEVICE, held.copy) if held else None
    if file is None:
        return None
    with file:
        return file.read()


def reserved(host: Host, path: str, size: int) -> str:
    """Reserve bytes as a process does that is killed then; returns the token."""
    token = uuid.uuid4().hex
    wish = Wish(path, size, token, DEMAND, 0.5, host.now(), host.now() + RESERVATION_S)
    assert host.stores.devices.reserve(DEVICE, wish, host.limits, Place(), "").granted
    return token
