"""A kit for producers: test your own code without a server, a broker or a worker.

::

    from cachekeeper.testing import MemoryCache, assert_invalidated

    def test_saving_a_note_renews_its_page():
        with MemoryCache() as cache:
            app = App(cache)  # your code, which takes a Cache
            app.show_page("all")
            app.save_note("milk", "Buy oat milk")
            assert_invalidated(cache, "note:milk", "page:all", consistency="strict")

For asyncio: ``AsyncCache(cache=MemoryCache())``.
"""

from cachekeeper.testing.asserts import assert_invalidated, assert_not_invalidated
from cachekeeper.testing.cache import MemoryCache

__all__ = ["MemoryCache", "assert_invalidated", "assert_not_invalidated"]
