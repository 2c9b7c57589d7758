"""Benchmarks: each against what it is compared with, in one run, on a server of its own.

``python -m bench NAME [--json] [--quick]``. A benchmark is a module ``bench.NAME`` with a
function ``run(options) -> Report``, and one line here.
"""

from __future__ import annotations

from typing import Final

#: Every benchmark, and what it tells.
BENCHES: Final = {
    "graph": "what an invalidation reaches in a large graph, beside rustworkx and networkx",
    "coherence": "stale reads under faults; what a strict invalidation costs",
    "evict": "evicting and expiring 10,000 of a million entries, beside ZPOPMIN and UNLINK",
    "invalidate": "how many keys a second are invalidated, beside UNLINK and cashews",
    "hitratio": "what eviction policies miss on recorded accesses, beside LRU",
    "latency": "whether immediate work waits for a backlog of 50,000 background tasks",
    "prefetch": "what is predicted of recorded accesses, and what a prediction costs",
    "read": "what a read costs beside a dictionary and beside redis-py, and what an entry takes",
}
