"""5. A device within its quota.

A phone has room for some of the photos. Its cache takes what it reads, never more than its
quota, and lets go of what is worth least: what was not read for long, is of low priority and
was read seldom.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cachekeeper.errors import InvalidInput, OriginMissing, QuotaExceeded
from tests.fundamentals.conftest import Open
from tests.support import wait_until

KIB = 1024
WAIT_S = 10.0


@pytest.fixture
def films(library: Path) -> list[str]:
    """Six films of 10 KiB."""
    (library / "films").mkdir()
    for n in range(6):
        (library / "films" / f"{n}.mp4").write_bytes(bytes([n]) * 10 * KIB)
    return [f"films/{n}.mp4" for n in range(6)]


def test_a_device_holds_what_it_read(service: Open, films: list[str]) -> None:
    """The first read goes through the tiers, the next ones stay on the device."""
    phone = service().device("annas-phone")
    first, second = phone.get(films[0]), phone.get(films[0])
    assert (first.hit, second.hit) == (False, True)
    assert first.body == second.body
    ledger = phone.ledger()
    assert (ledger.items, ledger.used) == (1, 10 * KIB)
    assert (ledger.counters["hits"], ledger.counters["misses"]) == (1, 1)


def test_a_device_never_exceeds_its_quota(service: Open, films: list[str]) -> None:
    """Room is reserved before anything is written, so not even for a moment."""
    cache = service(device_quota=30 * KIB, device_headroom=0)
    phone = cache.device("bens-phone")
    for path in films:
        assert phone.get(path).kept
        assert phone.ledger().used <= 30 * KIB
        assert cache.stores.files.bytes_on_disk("bens-phone") == phone.ledger().used
    assert phone.ledger().counters["evictions"] == 3


def test_what_is_read_again_stays_and_the_idle_goes(service: Open, films: list[str]) -> None:
    """Eviction goes by a score of age, priority and use; here only age and use differ."""
    phone = service(device_quota=30 * KIB, device_headroom=0).device("carlas-phone")
    for path in films[:3]:
        phone.get(path)
    phone.get(films[0])  # read again: now the second film is the one worth least
    phone.get(films[3])
    assert phone.get(films[0]).hit
    assert not phone.get(films[1]).hit


def test_what_is_larger_than_the_quota_is_given_and_not_kept(
    service: Open, films: list[str]
) -> None:
    """Nothing makes way for what can't fit anyway."""
    phone = service(device_quota=9 * KIB).device("doras-watch")
    read = phone.get(films[0])
    assert (len(read.body), read.kept) == (10 * KIB, False)
    assert phone.ledger().used == 0


def test_an_edit_is_seen_at_the_next_read(service: Open, library: Path) -> None:
    """A device's copy carries the same stamp as any other."""
    cache = service()
    phone = cache.device("emils-phone")
    phone.get("beach/IMG_1.jpg")
    (library / "beach" / "IMG_1.jpg").write_text("IMG_1 cropped")
    cache.invalidate("file:beach/IMG_1.jpg").wait(WAIT_S)
    read = phone.get("beach/IMG_1.jpg")
    assert (read.body, read.hit) == (b"IMG_1 cropped", False)


def test_making_room_makes_a_little_more(service: Open, films: list[str]) -> None:
    """An eviction frees ``device_headroom`` more than was asked for: the next reads need none."""
    phone = service(device_quota=50 * KIB, device_headroom=20 * KIB).device("fritzs-phone")
    for path in films[:5]:
        phone.get(path)
    assert phone.ledger().used == 50 * KIB
    phone.get(films[5])
    assert phone.ledger().used == 30 * KIB
    wait_until(lambda: phone.ledger().reserved == 0)


def test_what_is_pinned_stays_whatever_else_is_read(service: Open, films: list[str]) -> None:
    """Pins take from the quota, and never more than it has."""
    phone = service(device_quota=30 * KIB, device_headroom=0).device("hannas-phone")
    assert phone.pin(films[0]) == 10 * KIB
    for path in films:
        phone.get(path)
    assert phone.get(films[0]).hit
    assert phone.pins() == {films[0]: 10 * KIB}
    phone.pin(films[1])
    phone.pin(films[2])
    with pytest.raises(QuotaExceeded, match="beside what is pinned"):
        phone.pin(films[3])
    phone.unpin(films[0])
    assert phone.pin(films[3]) == 10 * KIB


def test_a_device_asks_for_what_there_is(service: Open) -> None:
    """Ids are small letters, digits and dashes; paths stay in the origin."""
    cache = service()
    with pytest.raises(InvalidInput, match="device: 'My Phone' is not allowed"):
        cache.device("My Phone")
    phone = cache.device("gretas-phone")
    with pytest.raises(InvalidInput, match=r"path: '\.\./secret' is not allowed"):
        phone.get("../secret")
    with pytest.raises(OriginMissing, match=r"no beach/IMG_3\.jpg"):
        phone.get("beach/IMG_3.jpg")
    assert phone.ledger().items == 0
