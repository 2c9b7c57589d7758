"""What a cache tells of itself: records, what an invalidation would do, why a key is as it is."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from cachekeeper.client.namespace import Namespace
from cachekeeper.client.receipt import ReceiptHandle
from cachekeeper.client.stores import Stores
from cachekeeper.core.keys import check_key, namespace_of
from cachekeeper.core.ports.tiers import LookedTier, Tier
from cachekeeper.core.preview import Preview
from cachekeeper.core.receipt import Receipt
from cachekeeper.core.records import check_since, make_selection
from cachekeeper.core.request import Request, make_request
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.local.services import require_extras
from cachekeeper.services.explain import Explainer, Why
from cachekeeper.settings import Settings
from cachekeeper.store.memory import MemoryTier

if TYPE_CHECKING:
    from cachekeeper.services.preview import Previewer

#: Keys that a preview names unless told.
PREVIEWED = 200


class AnyTier(Tier, LookedTier, Protocol):
    """A tier that can be looked into."""


class Looking:
    """The part of ``Cache`` that changes nothing."""

    settings: Settings
    stores: Stores
    tiers: dict[str, AnyTier]
    _memory: MemoryTier
    _namespaces: dict[str, Namespace]
    _previewer: Previewer | None = None

    def receipt(self, request_id: str) -> ReceiptHandle:
        """The handle of a request that any process made."""
        return ReceiptHandle(request_id, self.stores.receipts)

    def records(
        self,
        *,
        status: str | Iterable[str] = (),
        strategy: str | Iterable[str] = (),
        consistency: str | Iterable[str] = (),
        key: str = "",
        name: str = "",
        by: str = "",
        since_s: float | None = None,
    ) -> Iterator[Receipt]:
        """What became of past requests, of any process: newest first, read as they are taken.

        Conditions hold together: one of these states, strategies, levels; this ``key`` asked for or
        affected; this text in a ``name`` asked for; this text in who asked (``by``); made at most
        ``since_s`` seconds ago. A receipt lists 100 names and 100 keys; others are not looked at.

        Raises:
            InvalidInput: a condition is malformed.
            CacheUnavailable: the server can't be reached; also while they are taken.
        """
        wanted = make_selection(
            status=status, strategy=strategy, consistency=consistency, key=key, name=name, by=by
        )
        since = 0.0 if since_s is None else time.time() - check_since(since_s)
        return filter(wanted.takes, self.stores.receipts.newest(since))

    def why(self, key: str) -> Why:
        """Where a key is held and what it was made from; what happened to it, and why it is gone.

        Nothing is changed by looking. Of a namespace declared here more is known: the lifetime and
        the tags of its values. The memory of other processes, and their pins, are not known.

        Raises:
            InvalidInput: the key is malformed.
            CacheUnavailable: the server can't be reached.
        """
        namespace, tags = self._namespaces.get(namespace_of(check_key(key))), tuple[str, ...]()
        if namespace is not None:
            with suppress(Exception):  # the producer's function, which need not know such a key
                tags = namespace.recipe(key.partition(":")[2]).tags
        explainer = Explainer(
            tiers=list(self.tiers.values()),
            edges=self.stores.graph,
            causes=self.stores.marks,
            lifetimes=self.stores.expiry,
            devices=self.stores.devices,
            longest_s=self.settings.longest_life_s,
            now=time.time,
        )
        return explainer.why(
            key,
            lifetime_s=None if namespace is None else namespace.lifetime.most(key),
            tags=tags,
            pinned=self._memory.is_pinned(key),
        )

    def preview(
        self,
        keys: str | Iterable[str] = (),
        *,
        tag: str | None = None,
        namespace: str | None = None,
        strategy: str = Strategy.IMMEDIATE,
        consistency: str = Consistency.EVENTUAL,
        cascade: bool = True,
        shown: int = PREVIEWED,
    ) -> Preview:
        """What ``invalidate`` would do with these arguments; nothing is changed.

        Needs the extra ``app``, and the graph of the whole deployment on this host.

        Raises:
            InvalidInput: an argument is malformed.
            ConfigurationError: the packages of the extra are not there.
            CacheUnavailable: the server can't be reached.
        """
        request = asked_for(
            keys, tag, namespace, strategy=strategy, consistency=consistency, cascade=cascade
        )
        require_extras()
        if self._previewer is None:
            from cachekeeper.client.preview import open_previewer

            self._previewer = open_previewer(self)
        return self._previewer.preview(request, shown)


def asked_for(
    keys: str | Iterable[str], tag: str | None, namespace: str | None, **how: object
) -> Request:
    """A request made just now, from a caller's arguments. Raises InvalidInput."""
    return make_request(
        id=uuid.uuid4().hex,
        at=time.time(),
        keys=[keys] if isinstance(keys, str) else _listed(keys),
        tags=[] if tag is None else [tag],
        namespaces=[] if namespace is None else [namespace],
        **how,
    )


def _listed(names: object) -> object:
    """Any iterable as a list; what is none is for the check of the request to name."""
    return list(names) if isinstance(names, Iterable) else names
