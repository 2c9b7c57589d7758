"""The composition root: services over stores, once per process, opened after the fork."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cachekeeper.client.cache import Cache
from cachekeeper.client.changes import ChangeDesk
from cachekeeper.client.graph import open_graph
from cachekeeper.client.queues import queue_watch
from cachekeeper.core.ports.tiers import Tier
from cachekeeper.core.prefetching import Ticket
from cachekeeper.core.retention import Priority
from cachekeeper.core.strategy import STRATEGIES, Strategy
from cachekeeper.errors import BrokerUnavailable, ConfigurationError
from cachekeeper.names import Task
from cachekeeper.services.batch import Flusher
from cachekeeper.services.changes import ChangeReporter
from cachekeeper.services.confirm import Confirmer
from cachekeeper.services.due import DueSweep
from cachekeeper.services.evict import EvictionSweep
from cachekeeper.services.expire import ExpirySweep, LazySweep
from cachekeeper.services.folders import Folders
from cachekeeper.services.invalidate import Invalidator
from cachekeeper.services.plan import Planner
from cachekeeper.services.prefetch import Prefetcher
from cachekeeper.services.prepared import PreparedSweep
from cachekeeper.services.purge import Limits, Purger
from cachekeeper.services.reconcile import Reconciler
from cachekeeper.services.recover import Recovery
from cachekeeper.services.refresh_graph import GraphRefresh
from cachekeeper.services.relatives import Relatives
from cachekeeper.services.retry import Retrier
from cachekeeper.services.snapshot import GraphSnapshot
from cachekeeper.services.warm import Warmer
from cachekeeper.services.warm import sweep as sweep_warm
from cachekeeper.settings import LONGEST_CLASS_S, Settings
from cachekeeper.store.redis.dead import RedisDeadLetters
from cachekeeper.store.redis.due import RedisDue
from cachekeeper.store.redis.garbage import RedisGarbage
from cachekeeper.store.redis.incarnation import seen_for
from cachekeeper.store.redis.marks import RedisMarks
from cachekeeper.store.redis.records import RedisActivity, RedisLeftovers

DAY_S = 86400.0


@dataclass(frozen=True)
class Wiring:
    """The services of one worker process, each made when it is first used."""

    settings: Settings

    @cached_property
    def cache(self) -> Cache:
        """The tiers. A worker keeps none in memory: it reads once and hands on."""
        return Cache(self.settings.model_copy(update={"memory_bytes": 0}))

    @cached_property
    def invalidator(self) -> Invalidator:
        """Carries out invalidations."""
        stores = self.cache.stores
        return Invalidator(
            marks=stores.marks,
            confirmer=Confirmer(
                marks=stores.marks,
                nodes=stores.nodes,
                known_for=seen_for,
                ack_timeout_s=self.settings.ack_timeout_s,
            ),
            receipts=stores.receipts,
            garbage=self.garbage,
            purger=self.purger,
            leftovers=RedisLeftovers(stores.connection, self.settings.record_s),
            counters=self.activity,
            defer=self._purge_later,
            now=time.time,
            worker=os.getpid(),
        )

    @cached_property
    def purger(self) -> Purger:
        """Removes what invalidations reach, from the far tier to the near one."""
        tiers: list[Tier] = [self.cache.stores.disk, self.cache.stores.redis]
        return Purger(self.snapshot, tiers, Limits.of(self.settings))

    def _purge_later(self, ids: Sequence[str]) -> None:
        with suppress(BrokerUnavailable):  # bytes only: they go when read or expired
            self.cache.broker.send(Task.PURGE, {"requests": list(ids)})

    @cached_property
    def flusher(self) -> Flusher:
        """Drains pending sets."""
        return Flusher(
            pending=self.cache.stores.pending,
            invalidator=self.invalidator,
            retrier=self.retrier,
            deadline_s=self.settings.batch_deadline_s,
            now=time.time,
        )

    @cached_property
    def snapshot(self) -> GraphSnapshot:
        """The dependency graph, of which the processes of a host share one copy."""
        return open_graph(self.cache)

    @cached_property
    def graph_refresh(self) -> GraphRefresh:
        """Prunes the graph and publishes its figures."""
        return GraphRefresh(self.cache.stores.graph, self.snapshot, time.time)

    @cached_property
    def garbage(self) -> RedisGarbage:
        """What the lazy sweep has to do."""
        return RedisGarbage(self.cache.stores.connection)

    @cached_property
    def lazy_sweep(self) -> LazySweep:
        """Removes what was invalidated lazily."""
        return LazySweep(self.garbage, [self.cache.stores.disk, self.cache.stores.redis])

    @cached_property
    def expiry_sweep(self) -> ExpirySweep:
        """Removes what has expired."""
        stores = self.cache.stores
        return ExpirySweep(
            expiry=stores.expiry,
            devices=stores.devices,
            caches=self.cache.device_caches,
            now=time.time,
            invalidate=self._expired if self.settings.expiry_cascades == "invalidate" else None,
        )

    def _expired(self, keys: Sequence[str]) -> None:
        """In the background: what was derived from them is no older than it was."""
        self.cache.invalidate(keys, strategy=Strategy.BACKGROUND, reason="it has expired")

    @cached_property
    def eviction_sweep(self) -> EvictionSweep:
        """Holds devices to their quotas."""
        stores = self.cache.stores
        return EvictionSweep(
            devices=stores.devices,
            files=stores.files,
            caches=self.cache.device_caches,
            collect=stores.disk.collect,
            now=time.time,
        )

    @cached_property
    def change_reporter(self) -> ChangeReporter:
        """Has invalidated what changed in the origin. Raises ConfigurationError: there is none."""
        return ChangeDesk(self.cache).reporter()

    @cached_property
    def reconciler(self) -> Reconciler:
        """Finds what nobody told. Raises ConfigurationError: there is no origin."""
        return ChangeDesk(self.cache).reconciler()

    @cached_property
    def planner(self) -> Planner:
        """Decides what to fetch after an access.

        Raises:
            ConfigurationError: there is no origin.
        """
        if self.cache.origin is None:
            raise ConfigurationError("origin: prefetch needs one (CACHEKEEPER_ORIGIN)")
        stores = self.cache.stores
        return Planner(
            predictor=stores.predictor,
            relatives=Relatives(stores.graph, Folders(stores.known.entries, time.monotonic)),
            prefetches=stores.prefetches,
            reports=stores.reports,
            ask=self._ask_to_fetch,
            origin_of=self.cache.origin_of,
            threshold=self.settings.prefetch_threshold,
            at_once=self.settings.prefetch_at_once,
            now=time.time,
        )

    def _ask_to_fetch(self, ticket: Ticket, probability: float, until: float) -> None:
        incarnation, epoch = ticket.planned
        told = {"device": ticket.device, "path": ticket.path, "token": ticket.token}
        told |= {"origin": ticket.origin}
        fields = {"incarnation": incarnation, "epoch": epoch, "probability": probability}
        self.cache.broker.send(Task.PREFETCH, {**told, **fields, "until": until})

    @cached_property
    def prefetcher(self) -> Prefetcher:
        """Fetches what was planned."""
        stores = self.cache.stores
        return Prefetcher(
            prefetches=stores.prefetches,
            reports=stores.reports,
            caches=self.cache.device_caches,
            per_device=self.settings.prefetch_per_device,
            per_origin=self.settings.prefetch_per_origin,
            now=time.time,
        )

    @cached_property
    def warmer(self) -> Warmer:
        """Works on warm jobs.

        Raises:
            ConfigurationError: there is no origin.
        """
        if self.cache.origin is None:
            raise ConfigurationError("origin: to warm files needs one (CACHEKEEPER_ORIGIN)")
        stores = self.cache.stores
        return Warmer(
            jobs=stores.warm,
            caches=self.cache.device_caches,
            devices=stores.devices,
            source=self.cache.file_source,
            origin=self.cache.origin,
            is_fresh=self._is_fresh,
            ring=self.ring_for_warm,
            now=time.time,
        )

    def ring_for_warm(self, job: str) -> None:
        """Wake one more runner of a job; without the broker, the sweep does it."""
        self.cache.warm_job(job).ring(job)

    def warm_sweep(self) -> dict[str, int]:
        """Ring for all warm jobs that run."""
        return sweep_warm(self.cache.stores.warm, self.ring_for_warm)

    def _is_fresh(self, device: str, path: str) -> bool:
        """Whether a device holds a good copy."""
        stores = self.cache.stores
        held = stores.devices.entry(device, path)
        if held is None or held.expires <= time.time():
            return False
        if held.incarnation != stores.marks.now().incarnation:
            return False
        last = stores.marks.last(held.sources)
        return last is None or last.epoch <= held.as_of

    @cached_property
    def recovery(self) -> Recovery:
        """Upkeep."""
        stores = self.cache.stores
        longest = max(
            self.settings.longest_life_s, LONGEST_CLASS_S, *(p.lifetime_s for p in Priority)
        )
        return Recovery(
            pending=stores.pending,
            nodes=stores.nodes,
            receipts=stores.receipts,
            marks=RedisMarks(stores.connection, self.settings.record_s),
            record_s=self.settings.record_s,
            longest_life_s=longest + DAY_S,
            now=time.time,
        )

    @cached_property
    def prepared_sweep(self) -> PreparedSweep:
        """Keeps the deadlines of units of work."""
        return PreparedSweep(self.cache.stores.prepared, self._send_prepared)

    def _send_prepared(self, wire: Mapping[str, Any]) -> None:
        rule = STRATEGIES.get(wire["strategy"])  # none: of another version, and for the task to say
        self.cache.broker.send(Task.INVALIDATE, wire, queue=rule and rule.queue)

    @cached_property
    def due(self) -> RedisDue:
        """Work that failed, until it is tried again."""
        return RedisDue(self.cache.stores.connection)

    @cached_property
    def retrier(self) -> Retrier:
        """Has it tried again."""
        return Retrier(due=self.due, counters=self.activity, now=time.time)

    @cached_property
    def due_sweep(self) -> DueSweep:
        """Sends it when it is due."""
        return DueSweep(
            due=self.due,
            dead_letters=self.dead_letters,
            sender=self.cache.broker,
            now=time.time,
        )

    @cached_property
    def dead_letters(self) -> RedisDeadLetters:
        """Work that was given up."""
        return RedisDeadLetters(self.cache.stores.connection)

    def queue_figures(self) -> dict[str, float]:
        """What waits in each queue and pending set."""
        with queue_watch(self.settings) as watch:
            return watch.figures()

    @cached_property
    def activity(self) -> RedisActivity:
        """Shows that the schedule is alive."""
        return RedisActivity(self.cache.stores.connection)
