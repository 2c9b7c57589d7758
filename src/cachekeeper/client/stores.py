"""The adapters of one process, joined once; clients and workers build on the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cachekeeper.errors import ConfigurationError
from cachekeeper.local.state import State, read_running
from cachekeeper.settings import Settings
from cachekeeper.store.blobs import Blobs
from cachekeeper.store.device_files import DeviceFiles
from cachekeeper.store.disk import DiskTier
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.devices import RedisDevices
from cachekeeper.store.redis.expiry import RedisExpiry
from cachekeeper.store.redis.following import RedisFollowing
from cachekeeper.store.redis.graph import RedisGraph
from cachekeeper.store.redis.known import RedisKnownVersions
from cachekeeper.store.redis.marks import RedisMarks
from cachekeeper.store.redis.model import RedisModel
from cachekeeper.store.redis.nodes import RedisNodes
from cachekeeper.store.redis.pins import RedisPins
from cachekeeper.store.redis.predictor import RedisPredictor
from cachekeeper.store.redis.prefetching import RedisPrefetches
from cachekeeper.store.redis.prepared import RedisPrepared
from cachekeeper.store.redis.records import RedisPending, RedisReceipts
from cachekeeper.store.redis.reports import RedisReports
from cachekeeper.store.redis.sweeps import RedisSweeps
from cachekeeper.store.redis.tokens import RedisTokens
from cachekeeper.store.redis.values import RedisTier
from cachekeeper.store.redis.warming import RedisWarmJobs
from cachekeeper.store.redis.watchers import RedisWatchers


@dataclass(frozen=True, slots=True)
class Stores:
    """The adapters of one process, joined once; workers and clients build on the same."""

    connection: Connection
    marks: RedisMarks
    nodes: RedisNodes
    graph: RedisGraph
    receipts: RedisReceipts
    pending: RedisPending
    prepared: RedisPrepared
    devices: RedisDevices
    pins: RedisPins
    predictor: RedisPredictor
    model: RedisModel
    following: RedisFollowing
    reports: RedisReports
    tokens: RedisTokens
    known: RedisKnownVersions
    sweeps: RedisSweeps
    watchers: RedisWatchers
    prefetches: RedisPrefetches
    warm: RedisWarmJobs
    blobs: Blobs
    files: DeviceFiles
    expiry: RedisExpiry
    redis: RedisTier
    disk: DiskTier


def server_urls(settings: Settings) -> tuple[str, str]:
    """(cache, broker): as given, else of the deployment that runs on this machine.

    Raises:
        ConfigurationError: not given, and none runs here.
    """
    cache, broker = settings.cache_url, settings.broker_url
    if cache and broker:
        return cache, broker
    running = read_running(settings.state)
    if running is None:
        raise ConfigurationError(
            "no server: set CACHEKEEPER_CACHE_URL and CACHEKEEPER_BROKER_URL, "
            f"or start one with `cachekeeper up` (nothing runs in {settings.state})"
        )
    return cache or running.cache_url, broker or running.broker_url


def open_stores(settings: Settings, cache_url: str, on_disk: Callable[[str, int], bool]) -> Stores:
    """The adapters over one connection and one state folder.

    ``on_disk`` tells whether a key's value of a size belongs on disk.
    """
    connection = Connection(cache_url, settings.deployment)
    state = State(settings.state)
    state.create()
    devices = RedisDevices(connection)
    blobs = Blobs(state.blobs, int(settings.disk_min_free))
    cascades = settings.expiry_cascades == "invalidate"
    return Stores(
        connection=connection,
        marks=RedisMarks(connection, settings.record_s),
        nodes=RedisNodes(connection, settings.outwait_s),
        graph=RedisGraph(connection),
        receipts=RedisReceipts(connection, settings.record_s),
        pending=RedisPending(connection, settings.record_s),
        prepared=RedisPrepared(connection),
        devices=devices,
        pins=RedisPins(connection),
        predictor=RedisPredictor(connection, settings.prefetch_horizon_s, settings.model_items),
        model=RedisModel(connection),
        following=RedisFollowing(connection),
        reports=RedisReports(connection, devices),
        tokens=RedisTokens(connection),
        known=RedisKnownVersions(connection),
        sweeps=RedisSweeps(connection),
        watchers=RedisWatchers(connection),
        prefetches=RedisPrefetches(connection),
        warm=RedisWarmJobs(connection),
        blobs=blobs,
        files=DeviceFiles(state.devices, blobs),
        expiry=RedisExpiry(connection),
        redis=RedisTier(connection, int(settings.redis_value_bytes), cascades=cascades),
        disk=DiskTier(blobs, connection, on_disk, cascades=cascades),
    )
