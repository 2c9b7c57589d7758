"""GDSF: greedy-dual with sizes and frequencies (Cherkasova 1998).

``H = L + f / size``, and ``L`` rises to the H of each victim. It holds many small entries rather
than few large ones: good for the number of hits, bad for the bytes.
"""

from __future__ import annotations

from cachekeeper.core.policy.port import Admitting
from cachekeeper.core.policy.ranked import Ranked


class GDSF(Admitting):
    """Greedy-dual size frequency. State: L; of an entry: its size, accesses and H."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._worth: Ranked[float] = Ranked()
        self._accesses: dict[str, int] = {}
        self._floor = 0.0

    def _take(self, key: str, size: int, now: float, weight: float) -> None:
        self._note(key, size, 1)

    def _read(self, key: str, size: int, now: float) -> None:
        self._note(key, size, self._accesses[key] + 1)

    def _note(self, key: str, size: int, accesses: int) -> None:
        self._accesses[key] = accesses
        self._worth.put(key, self._floor + accesses / max(1, size))

    def _drop(self, key: str) -> None:
        del self._accesses[key]
        self._worth.remove(key)

    def _next_victim(self) -> str:
        self._floor, victim = self._worth.pop()
        del self._accesses[victim]
        return victim
