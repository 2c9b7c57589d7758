"""6. Why?

A page shows an old picture, or is slow although it should be cached. ``why KEY`` says where the
key is held, what it was made from, what was made from it, and what happened to it last. The
command ``cachekeeper why KEY`` prints the same.
"""

from __future__ import annotations

import pytest

from cachekeeper import Cache, InvalidInput
from tests.fundamentals.conftest import Open

WAIT_S = 10.0


def test_why_tells_where_a_key_is_and_what_it_was_made_from(service: Open) -> None:
    """One entry for each tier that would serve it."""
    cache = service(lease_s=3.0)
    cards, decks = cache.namespace("card"), cache.namespace("deck", ttl_s=600, on_disk=True)
    cards.loader(lambda name: name.encode())
    decks.loader(lambda _: cards.get("ace") + cards.get("king"))
    decks.get("bridge")

    why = cache.why("deck:bridge")
    assert why.state == "fresh"
    assert [held.tier for held in why.held] == ["memory", "redis", "disk"]
    assert {held.size for held in why.held} == {7}
    assert all(530 < held.expires_in_s <= 600 for held in why.held), "shorter by a share of its own"
    assert why.derived_from == ["card:ace", "card:king"]
    assert cache.why("card:ace").dependents == ["deck:bridge"]
    assert why.last_invalidation is None


def test_why_tells_what_happened_last_even_further_up(cache: Cache) -> None:
    """Nobody invalidated the page: it went because of what it was made from."""
    photos, walls = cache.namespace("picture"), cache.namespace("gallery")
    photos.loader(lambda name: name.encode())
    walls.loader(lambda name: photos.get(name))
    walls.get("mona-lisa")

    asked = cache.invalidate("picture:mona-lisa", consistency="strict", reason="stolen")
    receipt = asked.wait(WAIT_S, purged=True)
    why = cache.why("gallery:mona-lisa")
    assert (why.state, why.held) == ("missing", [])
    assert why.missing is not None
    assert why.missing.cause == "invalidated"
    assert why.last_invalidation is not None
    assert why.last_invalidation.reason == "stolen"
    assert why.last_invalidation.strategy == "immediate"
    assert why.last_invalidation.request == receipt.id
    assert why.last_invalidation.epoch == receipt.epoch


def test_why_tells_of_an_invalidation_that_stopped_at_the_key(cache: Cache) -> None:
    """What was not to reach the dependents did reach the key itself."""
    tiles = cache.namespace("tile")
    tiles.loader(lambda name: name.encode())
    tiles.get("a")
    asked = cache.invalidate("tile:a", cascade=False, consistency="strict", reason="blurred")
    asked.wait(WAIT_S)
    last = cache.why("tile:a").last_invalidation
    assert last is not None
    assert last.reason == "blurred"


def test_why_of_a_key_that_never_was_is_an_answer_too(cache: Cache) -> None:
    """Only what can't be a key is an error."""
    why = cache.why("nothing:here")
    assert why.state == "missing"
    assert (why.held, why.derived_from, why.dependents) == ([], [], [])
    assert why.last_invalidation is None
    assert why.missing is not None
    assert why.missing.cause == "never filled"
    with pytest.raises(InvalidInput, match="key: 'here' is not allowed"):
        cache.why("here")
