"""What producers write down, a line as JSON for each request, and who reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

SUFFIX: Final = ".sent"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that a server has accepted; times in seconds since 1970."""

    id: str
    way: str  # client, task, or again: a task with the id of a request that was sent before
    strategy: str
    consistency: str
    seeds: int
    asked: float
    accepted: float


class Log:
    """Of one producer; what is in it was accepted."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = (folder / f"{name}{SUFFIX}").open("a", buffering=1)

    def write(self, sent: Sent) -> None:
        """One more."""
        self._file.write(json.dumps(asdict(sent)) + "\n")


def read(folder: Path) -> Iterator[Sent]:
    """All that was accepted."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        for line in path.read_text().splitlines():
            yield Sent(**json.loads(line))
