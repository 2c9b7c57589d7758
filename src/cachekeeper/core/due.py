"""Work that failed and is to be done once more: a task's message, kept until it is due."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which attempt at a task a message asks for; it travels in the message's headers."""

    id: str  # of the task: the same for all attempts
    retries: int = 0  # attempts before this one
    first_failed: float | None = None  # when the first of them failed, seconds since 1970


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be sent again. Times in seconds since 1970."""

    id: str  # of the task
    task: str
    queue: str
    arguments: Mapping[str, Any]
    retries: int  # attempts until now
    first_failed: float
    reason: str  # of the last failure
    expires: float | None = None  # of no use after this

    @property
    def attempt(self) -> Attempt:
        """The one that is due."""
        return Attempt(self.id, self.retries, self.first_failed)

    def to_json(self) -> str:
        """The work as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Work:
        """The opposite of ``to_json``. Raises ValueError or TypeError for anything else."""
        return cls(**json.loads(text))
