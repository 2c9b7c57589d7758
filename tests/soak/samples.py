"""What is measured of every process and of the server, every few seconds."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import psutil
import redis

from cachekeeper.core.strategy import Strategy
from cachekeeper.names import QUEUES
from cachekeeper.store.redis.layout import Layout
from tests.soak.stack import Stack

SERVER: Final = "server"
SCANNED_AT_ONCE: Final = 2000


class Size(NamedTuple):
    """One process at one moment."""

    rss: int
    fds: int
    threads: int


class Who(NamedTuple):
    """A process: what it is, and which one, since what was restarted begins anew."""

    name: str
    pid: int
    began: float


@dataclass(slots=True)
class Sample:
    """One look. Without an answer of the server there are no figures of it."""

    at: float
    processes: dict[Who, Size]
    keys: Counter[str] = field(default_factory=Counter)
    figures: dict[str, int] = field(default_factory=dict)


def look(stack: Stack) -> Sample:
    """At all of it, now.

    The server's memory is told without the log and the marks: they are data, in which it keeps
    more than a day of invalidations, so that they grow in any run that is shorter.
    """
    processes = dict(_processes(stack))
    servers = {who: processes.pop(who) for who in list(processes) if who.name == SERVER}
    found = Sample(time.time(), processes)
    with suppress(redis.RedisError), stack.redis() as client:
        layout = Layout(stack.settings.deployment)
        found.figures = figures(client, layout)
        found.keys = kinds(client, layout)
        kept = sum(client.memory_usage(name) or 0 for name in (layout.log, layout.marks))
        for who, size in servers.items():
            found.processes[who] = size._replace(rss=size.rss - kept)
    return found


def kinds(client: redis.Redis, layout: Layout) -> Counter[str]:
    """How many keys there are by kind."""
    found: Counter[str] = Counter()
    for raw in client.scan_iter(match=f"{layout.prefix}*", count=SCANNED_AT_ONCE):
        first, *rest = raw.decode().removeprefix(layout.prefix).split(":")
        found[f"{first}:{rest[0]}" if first == "graph" else first] += 1
    return found


def figures(client: redis.Redis, layout: Layout) -> dict[str, int]:
    """Bytes, and the length of whatever may pile up."""
    pending = [layout.pending(strategy) for strategy in Strategy]
    with client.pipeline(transaction=False) as pipe:
        for queue in QUEUES:
            pipe.llen(queue)
        pipe.hlen("unacked")
        for name in (*pending, layout.inflight, layout.due, layout.prepared, layout.released):
            pipe.zcard(name)
        pipe.zcard(layout.dead)
        pipe.xlen(layout.log)
        pipe.zcard(layout.marks)
        pipe.zcard(layout.groups)
        *lengths, dead, log, marks, groups = pipe.execute()
        memory = client.info("memory")
    names = [*QUEUES, "unacknowledged", *(f"pending {strategy}" for strategy in Strategy)]
    names += ["in flight", "due", "prepared", "released"]
    others = {"dead letters": dead, "log": log, "marks": marks, "groups": groups}
    bytes_ = {"used_memory": int(memory["used_memory"])}
    return {**dict(zip(names, map(int, lengths), strict=True)), **others, **bytes_}


def waiting(figures: dict[str, int]) -> dict[str, int]:
    """What has still to be done."""
    rest = {"dead letters", "log", "marks", "groups", "used_memory"}
    return {name: count for name, count in figures.items() if name not in rest}


def family(stack: Stack) -> list[psutil.Process]:
    """``up`` and everything below it."""
    up = psutil.Process(stack.pid)
    return [up, *up.children(recursive=True)]


def strangers(stack: Stack) -> list[str]:
    """Processes of this state folder that are in nobody's care: orphans."""
    known = {process.pid for process in family(stack)}
    known |= {client.pid for client in stack.clients.values()}
    return [line for pid, line in of_state(stack) if pid not in known]


def of_state(stack: Stack) -> list[tuple[int, str]]:
    """Every process that was given the state folder, whoever its parent is."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("CACHEKEEPER_STATE") == str(stack.state) and _lives(process):
                found.append((process.pid, f"{process.pid} {' '.join(process.cmdline())[:100]}"))
    return found


def _lives(process: psutil.Process) -> bool:
    return process.status() != psutil.STATUS_ZOMBIE


def _processes(stack: Stack) -> list[tuple[Who, Size]]:
    running = stack.running
    names = {row.pid: row.name for row in running.services if row.pid} if running else {}
    names[stack.pid] = "up"
    found = []
    with suppress(psutil.NoSuchProcess):
        for process in family(stack):
            found += _sized(process, names.get(process.pid) or _below(process, names))
    for name, client in stack.clients.items():
        with suppress(psutil.NoSuchProcess):
            found += _sized(psutil.Process(client.pid), f"client {name}")
    return found


def _below(process: psutil.Process, names: dict[int, str]) -> str:
    with suppress(psutil.Error):
        parent = process.ppid()
        if "guardian" in " ".join(process.cmdline()):
            return "guardian"
        return f"{names.get(parent, 'other')}'s child"
    return "other"


def _sized(process: psutil.Process, name: str) -> list[tuple[Who, Size]]:
    with suppress(psutil.Error), process.oneshot():
        if process.status() == psutil.STATUS_ZOMBIE:
            return []
        who = Who(name, process.pid, process.create_time())
        size = Size(process.memory_info().rss, process.num_fds(), process.num_threads())
        return [(who, size)]
    return []
