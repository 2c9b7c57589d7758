"""What the figures were taken on; none of them means anything without it."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts that move figures."""

    cores: int
    python: str
    redis_py: str
    server: str
    system: str

    @classmethod
    def here(cls, server: str) -> Machine:
        """This machine, with the server that the benchmark talked to."""
        return cls(
            cores=_cores(),
            python=f"{platform.python_implementation()} {platform.python_version()}",
            redis_py=version("redis"),
            server=server,
            system=f"{platform.system()} {platform.machine()}",
        )

    def to_json(self) -> dict[str, object]:
        """Plain JSON values, by field."""
        return asdict(self)

    def __str__(self) -> str:
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return f"{cores}, {self.system}, {self.python}, redis-py {self.redis_py}, {self.server}"


def _cores() -> int:
    """The cores that this process may use, which a container or taskset may have cut down."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
