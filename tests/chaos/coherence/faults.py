"""The faults, single ones and overlapping ones."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import redis

from cachekeeper.store.redis.layout import Layout
from tests.chaos.coherence.cluster import LEASE_S, QUEUED, Actor, Cluster
from tests.chaos.coherence.history import Fault
from tests.chaos.coherence.world import HOT, source_key
from tests.rig.proxy import Mode

SHORT_S: Final = (0.05, 0.8 * LEASE_S)
LONG_S: Final = (1.2 * LEASE_S, 3 * LEASE_S)
FULL_S: Final = 1.0
#: Longer than a client waits for an answer before it asks again.
STRANDED_S: Final = (2.1, 2.6)
LAYOUT: Final = Layout("cachekeeper")

Scene = Callable[[Cluster, random.Random], None]


# What several faults are made of.


@contextmanager
def paused(actor: Actor) -> Iterator[None]:
    """An actor is stopped."""
    actor.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        actor.signal(signal.SIGCONT)


@contextmanager
def server_paused(cluster: Cluster) -> Iterator[None]:
    """The server is stopped."""
    cluster.server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        cluster.server.signal(signal.SIGCONT)


@contextmanager
def cut(cluster: Cluster, actor: Actor, mode: Mode) -> Iterator[None]:
    """An actor can't reach the server."""
    cluster.gate(actor, mode)
    try:
        yield
    finally:
        cluster.gate(actor, Mode.OPEN)


def some_cut(chance: random.Random) -> Mode:
    """One way of being cut off."""
    return chance.choice((Mode.REFUSED, Mode.HELD))


def sleep(chance: random.Random, bounds: tuple[float, float]) -> None:
    """Some seconds between bounds."""
    time.sleep(chance.uniform(*bounds))


def restart(cluster: Cluster, how: str) -> None:
    """Kill the server; it comes back ``with AOF``, ``without AOF`` or ``restored``."""
    cluster.server.kill()
    if how == "restored":
        cluster.server.restore()
    else:
        cluster.server.start(aof=how == "with AOF")


# Single faults.


def pause_short(cluster: Cluster, chance: random.Random) -> None:
    """A member stops for less than a lease."""
    with paused(chance.choice(cluster.members)):
        sleep(chance, SHORT_S)


def pause_long(cluster: Cluster, chance: random.Random) -> None:
    """A member stops for more than a lease."""
    with paused(chance.choice(cluster.members)):
        sleep(chance, LONG_S)


def cut_short(cluster: Cluster, chance: random.Random) -> None:
    """A member is cut off for less than a lease."""
    with cut(cluster, chance.choice(cluster.members), some_cut(chance)):
        sleep(chance, SHORT_S)


def cut_long(cluster: Cluster, chance: random.Random) -> None:
    """A member is cut off for more than a lease."""
    with cut(cluster, chance.choice(cluster.members), some_cut(chance)):
        sleep(chance, LONG_S)


def strand(cluster: Cluster, chance: random.Random) -> None:
    """What a member has sent gets stuck until long after it was sent again on new connections."""
    with cut(cluster, chance.choice(cluster.members), Mode.STRANDED):
        sleep(chance, STRANDED_S)


def slow_network(cluster: Cluster, chance: random.Random) -> None:
    """What a member sends and gets is late."""
    member = chance.choice(cluster.members)
    cluster.gate(member, Mode.OPEN, chance.uniform(0.005, 0.08))
    sleep(chance, LONG_S)
    cluster.gate(member, Mode.OPEN)


def kill_member(cluster: Cluster, chance: random.Random) -> None:
    """A member is killed, and replaced."""
    chance.choice(cluster.members).signal(signal.SIGKILL)


def kill_worker_child(cluster: Cluster, chance: random.Random) -> None:
    """A process of the worker's pool is killed, whatever it does."""
    if children := cluster.children_of_worker():
        with suppress(ProcessLookupError):
            os.kill(chance.choice(children), signal.SIGKILL)


def kill_worker(cluster: Cluster, _: random.Random) -> None:
    """The worker is killed."""
    if cluster.worker:
        with suppress(ProcessLookupError):
            os.killpg(cluster.worker.pid, signal.SIGKILL)


def kill_beat(cluster: Cluster, _: random.Random) -> None:
    """What rings for the strategies that wait is killed."""
    if cluster.beat:
        cluster.beat.signal(signal.SIGKILL)


def cut_worker(cluster: Cluster, chance: random.Random) -> None:
    """The worker can't reach the server."""
    if cluster.worker:
        with cut(cluster, cluster.worker, some_cut(chance)):
            sleep(chance, LONG_S)


def kill_writer(cluster: Cluster, chance: random.Random) -> None:
    """A writer is killed half-way: between its write and the mark, or after the mark."""
    writers = [writer for writer in cluster.writers if writer.name not in QUEUED]
    half_way = chance.choice((signal.SIGUSR1, signal.SIGUSR2))
    chance.choice(writers).signal(half_way)


def pause_server(cluster: Cluster, chance: random.Random) -> None:
    """The server stops for a while."""
    with server_paused(cluster):
        sleep(chance, chance.choice((SHORT_S, LONG_S)))


def restart_with_aof(cluster: Cluster, _: random.Random) -> None:
    """The server is killed and comes back."""
    restart(cluster, "with AOF")


def restart_without_aof(cluster: Cluster, _: random.Random) -> None:
    """The server is killed and comes back empty."""
    restart(cluster, "without AOF")


def restore(cluster: Cluster, chance: random.Random) -> None:
    """The server is killed and comes back as it was some time ago."""
    cluster.server.copy()
    sleep(chance, LONG_S)
    restart(cluster, "restored")


def fill_up(cluster: Cluster, _: random.Random) -> None:
    """The server is full."""
    cluster.server.fill_up()
    time.sleep(FULL_S)
    cluster.server.make_room()


def fork(cluster: Cluster, chance: random.Random) -> None:
    """A warm member forks; the child reads on with what it inherited, or closes it."""
    chance.choice(cluster.forking).signal(chance.choice((signal.SIGUSR1, signal.SIGUSR2)))


def evict_parents(cluster: Cluster, chance: random.Random) -> None:
    """The values of sources and of what is between are evicted, or expire; dependents stay."""
    between = [f"mid:{i}" for i in range(8)]
    names = [LAYOUT.value(key) for key in (*map(source_key, range(HOT)), *between)]
    chosen = chance.sample(names, len(names) // 2)
    with suppress(redis.RedisError), cluster.redis() as client:
        if chance.random() < 0.5:
            client.unlink(*chosen)
        else:
            for name in chosen:
                client.pexpire(name, 1)


# Faults that overlap.


def cut_and_restart(cluster: Cluster, chance: random.Random) -> None:
    """The server restarts while a member that holds a lease is cut off."""
    with cut(cluster, chance.choice(cluster.members), some_cut(chance)):
        sleep(chance, (0, 0.1))
        restart(cluster, chance.choice(("with AOF", "without AOF")))
        sleep(chance, LONG_S)


def cut_and_restore(cluster: Cluster, chance: random.Random) -> None:
    """The server is rolled back while a member that holds a lease is cut off."""
    cluster.server.copy()
    sleep(chance, LONG_S)
    with cut(cluster, chance.choice(cluster.members), some_cut(chance)):
        sleep(chance, (0, 0.1))
        restart(cluster, "restored")
        sleep(chance, LONG_S)


def pause_and_restart(cluster: Cluster, chance: random.Random) -> None:
    """The server restarts while a member is stopped, for more than a lease or less."""
    with paused(chance.choice(cluster.members)):
        restart(cluster, chance.choice(("with AOF", "without AOF")))
        sleep(chance, chance.choice((SHORT_S, LONG_S)))


def pause_and_restore(cluster: Cluster, chance: random.Random) -> None:
    """The server is rolled back while a member is stopped."""
    cluster.server.copy()
    sleep(chance, LONG_S)
    with paused(chance.choice(cluster.members)):
        restart(cluster, "restored")
        sleep(chance, chance.choice((SHORT_S, LONG_S)))


def fork_and_pause(cluster: Cluster, chance: random.Random) -> None:
    """A member is stopped right after it forked; its child closes what it inherited."""
    member = chance.choice(cluster.forking)
    member.signal(signal.SIGUSR2)
    sleep(chance, (0.02, 0.1))
    with paused(member):
        sleep(chance, SHORT_S)


def fork_and_restart(cluster: Cluster, chance: random.Random) -> None:
    """The server restarts while the child of a member lives on."""
    fork(cluster, chance)
    sleep(chance, (0.02, 0.1))
    restart(cluster, chance.choice(("with AOF", "without AOF")))


def pause_and_pause(cluster: Cluster, chance: random.Random) -> None:
    """The server stops and goes on while a member is stopped, which goes on first or last."""
    with paused(chance.choice(cluster.members)):
        pause_server(cluster, chance)
        sleep(chance, (0, 0.1))


def full_and_cut(cluster: Cluster, chance: random.Random) -> None:
    """The server is full while a member is cut off."""
    with cut(cluster, chance.choice(cluster.members), some_cut(chance)):
        fill_up(cluster, chance)


def two_of_three(cluster: Cluster, chance: random.Random) -> None:
    """One member stopped, another cut off, a third killed, and a writer dies half-way."""
    one, two, three = chance.sample(cluster.members, 3)
    with paused(one), cut(cluster, two, some_cut(chance)):
        kill_writer(cluster, chance)
        sleep(chance, SHORT_S)
        three.signal(signal.SIGKILL)
        sleep(chance, SHORT_S)


SINGLE: Final[tuple[Scene, ...]] = (
    pause_short,
    pause_long,
    cut_short,
    cut_long,
    strand,
    slow_network,
    kill_member,
    kill_worker_child,
    kill_worker,
    kill_beat,
    cut_worker,
    kill_writer,
    pause_server,
    restart_with_aof,
    restart_without_aof,
    restore,
    fill_up,
    fork,
    evict_parents,
)
OVERLAPPING: Final[tuple[Scene, ...]] = (
    cut_and_restart,
    cut_and_restore,
    pause_and_restart,
    pause_and_restore,
    fork_and_pause,
    fork_and_restart,
    pause_and_pause,
    full_and_cut,
    two_of_three,
)
ALL: Final = (*SINGLE, *OVERLAPPING)
#: Those that do something to the server: never two of them at a time.
OF_SERVER: Final[frozenset[Scene]] = frozenset(
    {
        pause_server,
        pause_and_pause,
        restart_with_aof,
        restart_without_aof,
        restore,
        fill_up,
        cut_and_restart,
        cut_and_restore,
        pause_and_restart,
        pause_and_restore,
        fork_and_restart,
        full_and_cut,
    }
)


def lanes(scenes: Iterable[Scene], count: int) -> list[list[Scene]]:
    """One or two lists of faults that may go on at the same time."""
    every = list(scenes)
    if count == 1:
        return [every]
    of_server = [scene for scene in every if scene in OF_SERVER]
    return [of_server, [scene for scene in every if scene not in OF_SERVER]]


def name_of(scene: Scene) -> str:
    """How a fault is called in a history."""
    return scene.__name__.replace("_", " ")


def play(cluster: Cluster, scene: Scene, chance: random.Random) -> None:
    """Do it, and note when."""
    begin = time.monotonic()
    try:
        scene(cluster, chance)
    finally:
        cluster.faults.append(Fault(name_of(scene), begin, time.monotonic()))
