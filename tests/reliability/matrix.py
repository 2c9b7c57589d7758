"""Which cells there are, which are the riskiest and why, and who plays them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from tests.reliability.cells import Cell, cell
from tests.reliability.loads import LOADS
from tests.reliability.operations import ALL
from tests.reliability.world import World

#: (operation, type of task)
Name = tuple[str, str]

ALL_CELLS: Final[tuple[Name, ...]] = tuple((op, load) for op in ALL for load in LOADS)

#: Played again and again, each with why.
RISKIEST: Final[dict[Name, str]] = {
    ("broker restart", "invalidate immediate"): (
        "it ends a plain Celery worker one time in ten; requests travel in messages alone"
    ),
    ("broker kill", "invalidate scheduled"): (
        "claimed batches, pending sets and marks must agree after the server's file is read again"
    ),
    ("broker kill", "invalidate immediate"): (
        "a message that was just taken is in no queue: taking and noting it must be one step"
    ),
    ("SIGKILL main", "invalidate immediate"): (
        "nobody hands back what the worker held; others must notice its silence"
    ),
    ("SIGKILL main", "invalidate background"): (
        "a claimed batch has no owner any more; it is marked once all the same"
    ),
    ("SIGKILL child", "evict"): (
        "between the manifest and the file: bytes that nobody counts, or count for ever"
    ),
    ("SIGSTOP", "invalidate scheduled"): (
        "a worker that counts as dead goes on with a batch that somebody else has done"
    ),
    ("stalled network", "invalidate immediate"): (
        "what was sent arrives long after it was sent again"
    ),
    ("full server", "invalidate background"): (
        "half of a batch is written down and the other half refused"
    ),
    ("disk full", "prefetch"): ("half a content, reserved room, and a manifest that names it"),
}

#: The short form: each operation once, spread over the types of task.
SHORT: Final[tuple[Name, ...]] = tuple(
    (op, list(LOADS)[i % len(LOADS)]) for i, op in enumerate(ALL)
)


def groups(cells: Iterable[Name]) -> list[list[Name]]:
    """Cells that share a deployment: those of one operation."""
    found: dict[str, list[Name]] = {}
    for name in cells:
        found.setdefault(name[0], []).append(name)
    return list(found.values())


def play(names: Sequence[Name]) -> list[Cell]:
    """Play some cells, one after the other, in one deployment; a new one after a failure."""
    done: list[Cell] = []
    while len(done) < len(names):
        with tempfile.TemporaryDirectory(prefix="cachekeeper-reliability-") as folder:
            small = any(op == "disk full" for op, _ in names)
            with World(Path(folder), small_disk=small) as world:
                for op, load in names[len(done) :]:
                    done.append(cell(world, ALL[op], load))
                    if done[-1].wrong:
                        done[-1].log = world.said()
                        break
    return done


def play_all(
    batches: Sequence[Sequence[Name]], together: int, tell: Callable[[Cell], None]
) -> list[Cell]:
    """Play batches, so many at a time, each in a process of its own."""
    done: list[Cell] = []
    with ProcessPoolExecutor(together, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(play, batch): batch for batch in batches}
        for future in as_completed(futures):
            try:
                found = future.result()
            except Exception as error:  # the deployment itself did not start or end
                found = [
                    Cell(op, load, wrong=[f"{type(error).__name__}: {error}"])
                    for op, load in futures[future]
                ]
            for each in found:
                tell(each)
            done += found
    return done
