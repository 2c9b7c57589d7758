"""What the graph takes in memory: mapped once for a host, and what another worker child adds.

``python -m bench.graph_memory FOLDER URL NODES`` is a process that has imported everything, as a
worker has, and forks its children. Memory is the proportional set size: private pages, and a share
of those that several processes hold.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import psutil

from bench.report import Figure
from bench.servers import Bed
from cachekeeper.client.cache import Cache
from cachekeeper.core.graph.reach import reach
from cachekeeper.services.snapshot import GraphSnapshot
from cachekeeper.settings import load
from cachekeeper.store.graph_files import GraphFiles

MB: Final = 1_000_000
SEEDS: Final = 1000
DEPTH: Final = 5


def figures(server: Bed, folder: Path, nodes: int) -> list[Figure]:
    """The file of the graph lies in the folder already."""
    arguments = [str(folder), server.url, str(server.state), str(nodes)]
    command = [sys.executable, "-m", "bench.graph_memory", *arguments]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return [
        Figure("snapshot_mb", told["snapshot"] / MB, "mapped and used by a first process", "MB"),
        Figure("child_extra_mb", told["extra"] / MB, "a second child that uses it, in all", "MB"),
    ]


def main() -> None:
    """Fork two children; tell what the first one's graph takes, and what the second one adds."""
    folder, url, state, nodes = sys.argv[1:]
    names = [name_of(number) for number in range(0, int(nodes), int(nodes) // SEEDS)]
    fork, parent = get_context("fork"), psutil.Process()
    children = []
    totals = []
    for _ in range(2):
        ours, theirs = fork.Pipe()
        process = fork.Process(target=_child, args=(theirs, folder, url, state, names), daemon=True)
        process.start()
        children.append((process, ours))
        ours.recv()  # it has a client, and no graph yet
        totals.append(_held(parent))
        ours.send("open")
        ours.recv()
        totals.append(_held(parent))
    print(json.dumps({"snapshot": totals[1] - totals[0], "extra": totals[3] - totals[1]}))
    for process, ours in children:
        ours.send("end")
        process.join()


def name_of(number: int) -> str:
    """The key of a node."""
    return f"thumb:{number % 100:02}-holiday/IMG_{number:07}.jpeg"


def _child(pipe: Connection, folder: str, url: str, state: str, names: list[str]) -> None:
    settings = load(state=Path(state), cache_url=url, broker_url=url, memory_bytes=0)
    with Cache(settings) as cache:
        cache.stores.graph.position()
        pipe.send("ready")
        pipe.recv()
        snapshot = GraphSnapshot(cache.stores.graph, GraphFiles(Path(folder), "bench"), time.time)
        with snapshot.current() as graph:
            reached = list(reach(graph, names, DEPTH).order)
        pipe.send(len(reached))
        del reached
        pipe.recv()
    os._exit(0)


def _held(parent: psutil.Process) -> int:
    return sum(process.memory_full_info().pss for process in [parent, *parent.children()])


if __name__ == "__main__":
    main()
