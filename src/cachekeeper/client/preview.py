"""What an invalidation would do, for the client and the command line.

A module of its own, since it needs numpy and networkx, which producers do without.
"""

from __future__ import annotations

import time

from cachekeeper.client.graph import open_graph
from cachekeeper.client.looking import Looking
from cachekeeper.services.preview import Previewer
from cachekeeper.services.purge import Limits


def open_previewer(cache: Looking) -> Previewer:
    """Over the tiers that all processes share."""
    return Previewer(
        graph=open_graph(cache),
        tiers=[cache.stores.redis, cache.stores.disk],
        nodes=cache.stores.nodes,
        stored=cache.stores.expiry,
        limits=Limits.of(cache.settings),
        now=time.time,
    )
