"""4. Tags and namespaces.

Sometimes what changed is no single file: a user was renamed, a new version of the program makes
better thumbnails. A *tag* stands for values that have something in common, wherever they are;
a *namespace* for all values made by one loader. Marking one costs the same as marking one key,
however many values it stands for.
"""

from __future__ import annotations

from cachekeeper import Cache

WAIT_S = 10.0


def test_a_tag_stands_for_every_value_that_has_it(cache: Cache) -> None:
    """The values say which tags they have, from the same part of the key as the loader gets."""
    made: list[str] = []
    greetings = cache.namespace("greeting")

    @greetings.loader
    def greet(who: str) -> bytes:
        made.append(who)
        return b"Hello " + who.encode()

    @greetings.tags
    def family(who: str) -> tuple[str, ...]:
        return ("family", f"initial {who[0]}")

    for who in ("anna", "ben", "bert"):
        greetings.get(who)
    made.clear()

    cache.invalidate(tag="initial b", consistency="strict").wait(WAIT_S)
    for who in ("anna", "ben", "bert"):
        greetings.get(who)
    assert made == ["ben", "bert"]


def test_a_tag_goes_on_to_what_was_made_from_its_values(cache: Cache) -> None:
    """As a key does: the page has no tag of its own, and was made from something that has."""
    names, pages = cache.namespace("name"), cache.namespace("name-page")
    name = ["Anna"]
    names.loader(lambda _: name[0].encode())
    names.tags(lambda who: (f"user {who}",))
    pages.loader(lambda who: b"<h1>" + names.get(who))
    assert pages.get("7") == b"<h1>Anna"

    name[0] = "Anne"
    cache.invalidate(tag="user 7", consistency="strict").wait(WAIT_S)
    assert pages.get("7") == b"<h1>Anne"


def test_a_namespace_goes_as_a_whole_with_all_that_was_made_from_it(cache: Cache) -> None:
    """And with nothing else, however similar its name."""
    version = [1]
    small, smaller = cache.namespace("small"), cache.namespace("small-er")
    wall = cache.namespace("wall")
    small.loader(lambda name: f"{name} v{version[0]}".encode())
    smaller.loader(lambda name: f"{name} v{version[0]}".encode())
    wall.loader(lambda name: b"wall of " + small.get(name))
    for namespace in (small, smaller, wall):
        namespace.get("a")

    version[0] = 2
    cache.invalidate(namespace="small", consistency="strict").wait(WAIT_S)
    assert small.get("a") == b"a v2"
    assert wall.get("a") == b"wall of a v2"
    assert smaller.get("a") == b"a v1"


def test_keys_a_tag_and_a_namespace_may_go_together(cache: Cache) -> None:
    """One request, one epoch: nobody sees the one without the other."""
    asked = cache.invalidate(["one:1", "one:2"], tag="two", namespace="three")
    receipt = asked.wait(WAIT_S, purged=True)
    assert receipt.names == ["one:1", "one:2", "two", "three"]
    assert receipt.affected == ["one:1", "one:2"]
    assert any("tags and namespaces" in limit for limit in receipt.limits)
