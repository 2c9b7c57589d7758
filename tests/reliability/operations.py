"""What befalls a deployment: each operation does it, undoes it, and has a bound.

An operation is a context: it has happened once the body begins, and is over when that ends; or
before, when the operation says that its cause has gone and the rest is recovery (``World.heal``).
``bound_s`` is how soon after that all that was accepted must have come out. It is made of
what a busy machine takes to start a worker, and of the periods in ``world.SETTINGS``.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import psutil

from cachekeeper.names import ROUTES
from tests.reliability.inside import SLOW_ORIGIN
from tests.reliability.loads import Load
from tests.reliability.world import World, away
from tests.rig.proxy import Mode
from tests.support import wait_until
from tests.tasks.malformed import MALFORMED

HELD_S: Final = 1.5
SKEW_S: Final = 3600.0
#: A pool takes 5 s to miss a process; a silent worker counts as dead after 4 s.
BOUND_S: Final = 25.0
LONG_S: Final = 45.0
HAPPENS_S: Final = 30.0
SOFT_S: Final = 1.0
HARD_S: Final = 2.0
POISONED: Final = 2
SPARE_BYTES: Final = 64 << 20

Play = Callable[[World, Load], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One of them. ``letters``: so many dead letters are right, since somebody has to look."""

    name: str
    play: Play
    what: str
    bound_s: float = BOUND_S
    letters: int = 0


ALL: Final[dict[str, Operation]] = {}


def operation(name: str, **given: Any) -> Callable[[Callable[..., Iterator[None]]], Play]:
    """Decorator: list a function among the operations; its docstring says what it does."""

    def listed(function: Callable[..., Iterator[None]]) -> Play:
        play = contextmanager(function)
        what = (function.__doc__ or "").strip()
        ALL[name] = Operation(name, play, what, **given)
        return play

    return listed


# Signals.


@operation("SIGTERM")
def sigterm(world: World, load: Load) -> Iterator[None]:
    """The worker is asked to stop, as `up` does it; another takes its place."""
    away(world, load.worker, signal.SIGTERM)
    yield


@operation("SIGQUIT")
def sigquit(world: World, load: Load) -> Iterator[None]:
    """The worker is asked to stop at once."""
    away(world, load.worker, signal.SIGQUIT)
    yield


@operation("SIGKILL main")
def kill_main(world: World, load: Load) -> Iterator[None]:
    """The worker's main process is killed."""
    away(world, load.worker, signal.SIGKILL)
    yield


@operation("SIGKILL child")
def kill_child(world: World, load: Load) -> Iterator[None]:
    """A process of the pool is killed, whatever it does."""
    child = random.choice(world.children(load.worker))
    child.kill()
    world.heal()
    yield
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


@operation("SIGSTOP")
def sigstop(world: World, load: Load) -> Iterator[None]:
    """The worker stands still for longer than it may be silent, then goes on."""
    container = world.cluster.services[load.worker]
    container.pause()
    try:
        time.sleep(5)
    finally:
        container.unpause()
    yield


# Limits.


@operation("memory limit")
def memory_limit(world: World, load: Load) -> Iterator[None]:
    """A task takes 500 MB, more than a child may keep: it ends, and the child is replaced."""
    with world.inside("hog", load.tasks):
        yield
        wait_until(world.befell, HAPPENS_S)


@operation("no memory")
def no_memory(world: World, load: Load) -> Iterator[None]:
    """The same, and the system refuses the memory: MemoryError in the middle of a task."""
    for child in world.children(load.worker):
        limit = child.memory_info().vms + SPARE_BYTES
        resource.prlimit(child.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    pool = world.children(load.worker)
    with world.inside("hog", load.tasks):
        yield
        wait_until(world.befell, HAPPENS_S)
    for child in pool:
        with suppress(ProcessLookupError):
            no = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(child.pid, resource.RLIMIT_AS, no)


@operation("soft time limit")
def soft_limit(world: World, load: Load) -> Iterator[None]:
    """A task takes longer than it may: an exception in the middle of it."""
    with _limits(world, load, SOFT_S, 10), world.inside("stall", load.tasks, seconds=5):
        before = _said(world, load, "Soft time limit")
        yield
        wait_until(lambda: _said(world, load, "Soft time limit") > before, HAPPENS_S)


@operation("hard time limit", letters=1)
def hard_limit(world: World, load: Load) -> Iterator[None]:
    """A task takes longer still and hears nothing: its process is killed, the message buried."""
    with _limits(world, load, SOFT_S, HARD_S), world.inside("stubborn", load.tasks, seconds=8):
        before = _said(world, load, "given up: TimeLimitExceeded")
        yield
        wait_until(lambda: _said(world, load, "given up: TimeLimitExceeded") > before, HAPPENS_S)


def _said(world: World, load: Load, words: str) -> int:
    """How often the worker has said it: that it happened is looked at, not taken for granted."""
    return world.cluster.logs(load.worker).count(words)


@contextmanager
def _limits(world: World, load: Load, soft: float, hard: float) -> Iterator[None]:
    for task in load.tasks:
        world.control(load.worker, "limit_task", task_name=task, soft=soft, hard=hard)
    try:
        yield
    finally:
        world.control(load.worker, "unlimit_tasks")


@operation("pool restart")
def pool_restart(world: World, load: Load) -> Iterator[None]:
    """Remote control replaces the worker's pool."""
    before = {child.pid for child in world.children(load.worker)}
    world.control(load.worker, "pool_restart")
    world.heal()
    wait_until(lambda: before.isdisjoint(c.pid for c in world.children(load.worker)), HAPPENS_S)
    yield


# The server.


@operation("broker restart")
def broker_restart(world: World, _: Load) -> Iterator[None]:
    """The server stops as an operator has it stop, and starts again."""
    world.server.restart()
    yield


@operation("broker kill")
def broker_kill(world: World, _: Load) -> Iterator[None]:
    """The server is killed, and is away for a while."""
    world.server.kill()
    time.sleep(HELD_S)
    world.server.start()
    yield


@operation("connection loss")
def connection_loss(world: World, load: Load) -> Iterator[None]:
    """The worker's connections are reset, and new ones for a while."""
    with _gate(world, load, Mode.REFUSED):
        time.sleep(HELD_S)
    yield


@operation("stalled network")
def stalled(world: World, load: Load) -> Iterator[None]:
    """Nothing gets through between worker and server, and nobody is told."""
    with _gate(world, load, Mode.HELD):
        time.sleep(2 * HELD_S)
    yield


@contextmanager
def _gate(world: World, load: Load, mode: Mode) -> Iterator[None]:
    world.server.set_gate(load.worker, mode)
    try:
        yield
    finally:
        world.server.set_gate(load.worker, Mode.OPEN)


@operation("full server")
def full_server(world: World, _: Load) -> Iterator[None]:
    """More is in use than the server may have: it refuses what would need memory."""
    with world.server.client() as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] * 9 // 10)
    try:
        time.sleep(HELD_S)
    finally:
        with world.server.client() as client:
            client.config_set("maxmemory", 0)
    yield


# The host.


@operation("clock jump")
def clock_jump(world: World, _: Load) -> Iterator[None]:
    """The workers' wall clock goes an hour ahead, then back, an hour behind, then back."""
    try:
        for skew in (SKEW_S, 0.0, -SKEW_S):
            world.jump(skew)
            time.sleep(HELD_S / 1.5)
    finally:
        world.jump(0.0)
    yield


@operation("disk full")
def disk_full(world: World, load: Load) -> Iterator[None]:
    """No byte fits on the file system of the state folder; without root, none in any file."""
    filler = world.folder / "state" / "filler"
    if world.is_small:
        free = os.statvfs(filler.parent)
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            for _ in range(free.f_bavail + 1):
                file.write(bytes(free.f_frsize))
    else:
        _file_size(world, load, 0)
    try:
        time.sleep(HELD_S)
    finally:
        filler.unlink(missing_ok=True)
        _file_size(world, load, resource.RLIM_INFINITY)
    yield


def _file_size(world: World, load: Load, limit: int) -> None:
    for child in world.children(load.worker):
        with suppress(ProcessLookupError):
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


@operation("slow origin")
def slow_origin(world: World, _: Load) -> Iterator[None]:
    """Each file of the origin takes the workers 0.4 s to open."""
    (world.folder / SLOW_ORIGIN).touch()
    try:
        time.sleep(2 * HELD_S)
    finally:
        (world.folder / SLOW_ORIGIN).unlink()
    yield


# Others that take part.


@operation("two beats")
def two_beats(world: World, _: Load) -> Iterator[None]:
    """A second beat rings everything, too."""
    world.add_beat()
    try:
        wait_until(lambda: "Sending due task" in world.cluster.logs("beat-2"), HAPPENS_S)
        time.sleep(2)
    finally:
        world.cluster.remove("beat-2")
    yield


@operation("poison task", bound_s=LONG_S)
def poison(world: World, load: Load) -> Iterator[None]:
    """A task kills the process that runs it, twice in a row, then it is cured."""
    with world.inside("kill", load.tasks, times=POISONED):
        yield
        wait_until(world.befell, LONG_S)


@operation("malformed message", letters=4)
def malformed(world: World, load: Load) -> Iterator[None]:
    """Four messages that are none in the queue of the task."""
    queue = ROUTES[load.tasks[0]]
    kinds = ("a word", "null", "no headers", "a body encoding in a list")
    with world.server.client() as client:
        for kind in kinds:
            client.lpush(queue, MALFORMED[kind][0])
        yield
        wait_until(lambda: not client.llen(queue), HAPPENS_S)
