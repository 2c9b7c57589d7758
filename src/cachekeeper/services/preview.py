"""``--dry-run``: what an invalidation would reach, through which edges; nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from cachekeeper.core.graph.edges import reached_by
from cachekeeper.core.graph.reach import reach
from cachekeeper.core.ports.tiers import Clock, Nodes, Stored, WeighedTier
from cachekeeper.core.preview import Preview, Step
from cachekeeper.core.receipt import SHOWN
from cachekeeper.core.request import Request
from cachekeeper.core.strategy import STRATEGIES
from cachekeeper.errors import InvalidInput
from cachekeeper.services.purge import Limits
from cachekeeper.services.snapshot import GraphSnapshot

#: Keys with their edges that can be shown.
MAX_SHOWN: Final = 1000
#: Keys whose bytes are counted, and stored keys that are looked at for the members of a namespace.
WEIGHED: Final = 10_000
LOOKED_AT: Final = 100_000


class Previewer:
    """Looks at what the graph, the tiers and the nodes say at this moment."""

    def __init__(
        self,
        *,
        graph: GraphSnapshot,
        tiers: Sequence[WeighedTier],
        nodes: Nodes,
        stored: Stored,
        limits: Limits,
        now: Clock,
    ) -> None:
        self._graph, self._tiers, self._nodes = graph, tiers, nodes
        self._stored, self._limits, self._now = stored, limits, now

    def preview(self, request: Request, shown: int) -> Preview:
        """What a request would do; ``shown`` keys are told by name.

        Raises:
            InvalidInput: too many are to be shown.
            CacheUnavailable: the server can't be reached.
        """
        if not 1 <= shown <= MAX_SHOWN:
            raise InvalidInput("shown", shown, f"1 to {MAX_SHOWN:,} keys")
        with self._graph.current() as graph:
            near = self._limits.near(graph, request)
            whole = reach(graph, request.keys) if request.cascade else near
            first = list(near.order[:shown])
            before = reached_by(graph, first, request.keys)
            keys, depth = len(whole.order), whole.depth
            weighed = list(islice(whole.order, WEIGHED))
            limits = self._limits.met(near)
        if keys > len(first):
            limits.append(f"shown are {len(first):,} of {keys:,} keys")
        if keys > WEIGHED:
            limits.append(f"bytes are those of the first {WEIGHED:,} of {keys:,} keys")
        return Preview(
            names=[*request.keys, *request.tags, *request.namespaces][:SHOWN],
            strategy=request.strategy,
            consistency=request.consistency,
            cascade=request.cascade,
            steps=[Step(key, before.get(key, "")) for key in first],
            keys=keys,
            depth=depth,
            held={tier.name: tier.weigh(weighed) for tier in self._tiers},
            weighed=len(weighed),
            members=[
                self._stored.members(name, self._now(), LOOKED_AT) for name in request.namespaces
            ],
            nodes=sorted(self._nodes.acknowledged()[1]),
            limits=[*limits, *_unknown(request)],
        )


def _unknown(request: Request) -> list[str]:
    """What can't be told, and what would stay."""
    said = []
    if request.tags:
        said.append("tags: what has one is listed nowhere; all of it is stale at once")
    if request.tags or request.namespaces:
        said.append(
            "tags and namespaces: what was derived from what they hold is stale too, and not among "
            "the keys; bytes go when read or expired, not by a purge"
        )
    if not STRATEGIES[request.strategy].purges:
        said.append(f"{request.strategy}: bytes go when read or swept")
    return said
