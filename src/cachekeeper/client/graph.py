"""The dependency graph for whoever looks at all of it: workers and the command line.

A module of its own, since it needs numpy and networkx, which producers do without.
"""

from __future__ import annotations

import time

from cachekeeper.client.looking import Looking
from cachekeeper.local.state import State
from cachekeeper.services.snapshot import GraphSnapshot
from cachekeeper.store.graph_files import GraphFiles


def open_graph(cache: Looking) -> GraphSnapshot:
    """The graph of the cache's deployment, of which the processes of a host share one copy."""
    files = GraphFiles(State(cache.settings.state).graph, cache.settings.deployment)
    return GraphSnapshot(cache.stores.graph, files, time.time)
