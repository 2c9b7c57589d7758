"""1. Reading.

A service that needs something slow (a file from a disk across the house, a picture made
smaller, the result of a search) asks the cache for it by name. If no tier holds it, the cache
calls the service's own function, the *loader*, keeps what it returns and gives it back.

The tiers stand in a row, the near ones fast and small, the far ones slower and larger:
the memory of the process, Redis, which the whole site shares, and the disk of the host.
"""

from __future__ import annotations

import pytest

from cachekeeper import Cache, InvalidInput
from tests.fundamentals.conftest import Open


def test_a_value_is_made_once_and_then_held(cache: Cache) -> None:
    """Declare a namespace, say how its values are made, and ask.

    A key is ``namespace:rest``; a loader gets the rest. Only the first read calls it.
    """
    made: list[str] = []
    titles = cache.namespace("title")

    @titles.loader
    def title(photo: str) -> bytes:
        made.append(photo)
        return f"The title of {photo}".encode()

    assert titles.get("beach") == b"The title of beach"
    assert titles.get("beach") == b"The title of beach"
    assert made == ["beach"]
    assert titles.key("beach") == "title:beach"


def test_a_value_comes_from_the_nearest_tier_that_has_it(service: Open) -> None:
    """``stats`` counts the reads of a process by the tier that answered.

    What one service has made, another finds in Redis; from then on its own memory has it.
    """
    kitchen, study = service(lease_s=3.0), service(lease_s=3.0)
    for cache, reads in ((kitchen, 1), (study, 2)):
        answers = cache.namespace("answer")
        answers.loader(lambda _: b"42")
        for _ in range(reads):
            assert answers.get("life") == b"42"

    assert kitchen.stats() == {"memory": 0, "redis": 0, "disk": 0, "loader": 1, "bypass": 0}
    assert study.stats() == {"memory": 1, "redis": 1, "disk": 0, "loader": 0, "bypass": 0}


def test_what_is_large_goes_to_the_disk(service: Open) -> None:
    """Redis is for many small values; the disk takes what is too large for it."""
    cache = service(redis_value_bytes=1000, memory_bytes=0)  # and a service may keep no memory
    films = cache.namespace("film")
    films.loader(lambda _: b"." * 100_000)
    films.get("holidays")
    films.get("holidays")
    assert cache.stats()["disk"] == 1
    assert cache.stats()["redis"] == 0
    assert [held.tier for held in cache.why("film:holidays").held] == ["disk"]


def test_what_is_small_goes_to_the_disk_too_if_its_namespace_says_so(service: Open) -> None:
    """For what is dear to make, and is to outlive a loss of Redis's values."""
    cache = service(memory_bytes=0)
    cheap, dear = cache.namespace("cheap"), cache.namespace("dear", on_disk=True)
    for namespace in (cheap, dear):
        namespace.loader(lambda name: name.encode())
        namespace.get("a")
    assert [held.tier for held in cache.why("cheap:a").held] == ["redis"]
    assert [held.tier for held in cache.why("dear:a").held] == ["redis", "disk"]


def test_values_are_bytes_or_json(cache: Cache) -> None:
    """Bytes stay as they are. ``serializer="json"`` is for lists, numbers and the like.

    There is no pickle: whoever can write to Redis could run code in every reader.
    """
    counts = cache.namespace("count", serializer="json")
    counts.loader(lambda album: {"album": album, "photos": [1, 2, 3]})
    assert counts.get("beach") == {"album": "beach", "photos": [1, 2, 3]}
    with pytest.raises(InvalidInput, match=r"serializer: 'pickle' is not allowed.*bytes, json"):
        cache.namespace("unsafe", serializer="pickle")


def test_files_of_the_origin_need_no_loader(cache: Cache) -> None:
    """The namespace ``file`` is there already: it reads the folder that the site is about."""
    assert cache.files.get("beach/IMG_1.jpg") == b"IMG_1 as taken"
    assert cache.files.key("beach/IMG_1.jpg") == "file:beach/IMG_1.jpg"


def test_what_can_not_be_is_refused_with_what_can(cache: Cache) -> None:
    """An error names the field, the value and what is allowed. Paths don't leave the origin."""
    with pytest.raises(InvalidInput, match="namespace: 'my photos' is not allowed"):
        cache.namespace("my photos")
    with pytest.raises(InvalidInput, match="ttl_s: 5 is not allowed; allowed: 60 to 86400"):
        cache.namespace("brief", ttl_s=5)
    with pytest.raises(InvalidInput, match=r"path: '\.\./secret' is not allowed"):
        cache.files.get("../secret")


def test_a_loader_that_fails_leaves_nothing_behind(cache: Cache) -> None:
    """Its error is the reader's; the next read tries again."""
    moods = cache.namespace("mood")
    asked: list[str] = []

    @moods.loader
    def mood(whose: str) -> bytes:
        asked.append(whose)
        if len(asked) == 1:
            raise RuntimeError("not now")
        return b"fine"

    with pytest.raises(RuntimeError, match="not now"):
        moods.get("mine")
    assert moods.get("mine") == b"fine"
