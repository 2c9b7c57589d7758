"""The guardian: a small process that stops what its owner started once the owner is gone.

``kill -9`` gives a process no chance to clean up, and the portable way to notice it from
outside is a pipe: the owner holds the writing end of the guardian's standard input, and the
kernel closes it however the owner dies. PR_SET_PDEATHSIG is Linux only, fires when the
*thread* that forked ends, and can't say "workers first, then the server".

The owner writes one JSON object a line::

    {"add": 4242, "stage": 0, "grace": 9.0}   this process group; stop low stages first
    {"remove": 4242}                          it has ended
    {"dismiss": true}                         the owner has stopped everything itself

At the end of the input, unless dismissed, each stage gets SIGTERM, its grace in seconds,
then SIGKILL. The module runs as a script without site-packages (see ``spawn.Guardian``), so
it imports the standard library only and nothing of this package.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

POLL_S = 0.05
#: How long to wait for the kernel to take away what was killed.
KILLED_S = 2.0


class Living(NamedTuple):
    """A process that has not ended (zombies have): its group, and when it began."""

    group: int
    began: str


def living() -> dict[int, Living]:
    """Every living process by pid; ``began`` tells a process from a later one with its pid."""
    proc = Path("/proc")
    if (proc / "self" / "stat").exists():
        return dict(_from_proc(proc))
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,pgid=,stat=,lstart="],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    return dict(from_ps(listing.stdout))


def _from_proc(proc: Path) -> Iterable[tuple[int, Living]]:
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it ended while we were looking
            # The command's name stands in brackets and may hold anything, brackets too.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] not in "ZX":
                yield int(entry.name), Living(int(fields[2]), fields[19])


def from_ps(listing: str) -> Iterable[tuple[int, Living]]:
    """The same from ``ps`` (``pid pgid stat lstart``), for systems without /proc."""
    for line in listing.splitlines():
        pid, group, state, began = line.split(maxsplit=3)
        if not state.startswith("Z"):
            yield int(pid), Living(int(group), began)


@dataclass(frozen=True)
class Group:
    """A process group by its leader, and when that leader began (None: it had ended already)."""

    leader: int
    began: str | None
    stage: int = 0
    grace: float = 9.0

    @classmethod
    def of(cls, pid: int, stage: int = 0, grace: float = 9.0) -> Group:
        """The group that process ``pid`` leads now."""
        leader = living().get(pid)
        return cls(pid, leader.began if leader else None, stage, grace)

    def alive(self, processes: dict[int, Living]) -> bool:
        """Whether any member lives; a pid that now belongs to somebody else doesn't count."""
        leader = processes.get(self.leader)
        if leader is not None and leader.began != self.began:
            return False
        return any(process.group == self.leader for process in processes.values())

    def terminate(self, processes: dict[int, Living]) -> None:
        """SIGTERM to the leader, which knows how to end its children; to all if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            if self.leader in processes:
                os.kill(self.leader, signal.SIGTERM)
            else:
                os.killpg(self.leader, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to every member."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.leader, signal.SIGKILL)


def stop(groups: Iterable[Group]) -> None:
    """Stop the groups, lowest stage first: SIGTERM, the stage's longest grace, SIGKILL."""
    groups = list(groups)
    for stage in sorted({group.stage for group in groups}):
        _stop_together([group for group in groups if group.stage == stage])


def _stop_together(groups: list[Group]) -> None:
    processes = living()
    for group in groups:
        if group.alive(processes):
            group.terminate(processes)
    left = _wait_gone(groups, max(group.grace for group in groups))
    for group in left:
        group.kill()
    _wait_gone(left, KILLED_S)


def _wait_gone(groups: list[Group], seconds: float) -> list[Group]:
    end = time.monotonic() + seconds
    while True:
        processes = living()
        left = [group for group in groups if group.alive(processes)]
        if not left or time.monotonic() > end:
            return left
        time.sleep(POLL_S)


def guard(orders: TextIO) -> list[Group]:
    """Follow the owner's orders to their end; return the groups that are now to be stopped."""
    groups: dict[int, Group] = {}
    dismissed = False
    for line in orders:
        if not line.endswith("\n"):
            break  # the owner died in the middle of a line
        order = json.loads(line)
        if "add" in order:
            groups[order["add"]] = Group.of(order["add"], order["stage"], order["grace"])
        elif "remove" in order:
            groups.pop(order["remove"], None)
        dismissed = dismissed or "dismiss" in order
    return [] if dismissed else list(groups.values())


def main() -> None:
    """Guard until the owner is gone, then stop what it left."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # whoever signals the owner means the owner
    os.chdir("/")  # hold no folder that somebody may want to unmount
    if left := guard(sys.stdin):
        pids = ", ".join(str(group.leader) for group in left)
        sys.stderr.write(f"{time.strftime('%F %T')} the owner is gone; stopping {pids}\n")
        sys.stderr.flush()
        stop(left)


if __name__ == "__main__":
    main()
