"""What the morning has to show in the end: the checks that decide the exit status of the demo."""

from __future__ import annotations

from dataclasses import dataclass

from cachekeeper.core.strategy import Strategy
from demo.edits import Kind, Proof
from demo.gauges import MemoryGauge, QuotaGauge
from demo.pace import Pace

TIERS = ("memory", "redis", "disk")
BEAT = (
    "invalidation.flush_scheduled",
    "invalidation.flush_background",
    "invalidation.sweep_lazy",
    "eviction.sweep_devices",
    "expiry.sweep_expired",
    "graph.refresh_snapshot",
)


@dataclass(frozen=True)
class Check:
    """One line of the verdict."""

    name: str
    holds: bool
    figure: str


@dataclass
class Tally:
    """What was counted while the morning played."""

    proofs: list[Proof]
    quota: QuotaGauge
    memory: MemoryGauge
    counters: dict[str, int]  # of all devices: hits, misses, evictions, prefetched, ...
    totals: dict[str, float]  # of the schedule's tasks
    failures: list[str]  # of the devices' reads

    def tier_edits(self, tier: str) -> int:
        """Edits that count for a tier: old before, new after, in another process."""
        return sum(tier in proof.tiers for proof in self.proofs if not proof.faults)

    def pids(self, strategy: Strategy) -> set[int]:
        """The worker processes that carried out a strategy."""
        receipts = [p.receipt for p in self.proofs if p.strategy is strategy and p.receipt]
        return {r.worker_pid for r in receipts} & self.memory.workers

    @property
    def faults(self) -> list[str]:
        """Everything that was seen and must not be."""
        return [fault for proof in self.proofs for fault in proof.faults] + self.failures


def checks(tally: Tally, asked: Pace) -> list[Check]:
    """The verdict: the demo succeeds if all hold."""
    edits = [proof for proof in tally.proofs if proof.kind is Kind.EDIT]
    found = [
        Check("every change was seen fresh", not tally.faults, f"{len(tally.proofs)} changes"),
    ]
    for tier in TIERS:
        count = tally.tier_edits(tier)
        figure = f"{count} of {len(edits)} edits were old there before, and new after"
        found.append(Check(f"{tier}: old bytes gave way", count >= asked.edits_a_tier, figure))
    for strategy in Strategy:
        pids = sorted(tally.pids(strategy))
        figure = f"in worker processes {', '.join(map(str, pids)) or 'none'}"
        found.append(Check(f"{strategy} did its work", bool(pids), figure))
    quota = tally.quota
    most = max(quota.most.values())
    found.append(
        Check(
            "no device above its quota",
            not quota.exceeded and quota.samples >= asked.quota_looks,
            f"at most {most:,} of {quota.quota:,} bytes on disk in {quota.samples} looks",
        )
    )
    evictions = tally.counters.get("evictions", 0)
    found.append(Check("files were evicted", evictions >= asked.evictions, f"{evictions}"))
    used, fetched = tally.counters.get("prefetch_used", 0), tally.counters.get("prefetched", 0)
    found.append(Check("prefetches were used", used > 0, f"{used} of {fetched}"))
    silent = [task for task in BEAT if not any(k.startswith(f"{task} ") for k in tally.totals)]
    figure = f"{', '.join(silent)} never ran" if silent else f"{len(BEAT)} kinds of task"
    found.append(Check("beat rang its tasks", not silent, figure))
    expired = int(tally.totals.get("expiry.sweep_expired entries", 0))
    found.append(Check("expired entries were swept", expired > 0, f"{expired}"))
    name, peak = tally.memory.largest
    figure = f"at most {peak / 2**20:.0f} MiB ({name})"
    found.append(Check("memory of every process", peak < asked.most_memory, figure))
    return found
