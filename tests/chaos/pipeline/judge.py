"""What became of all that was accepted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cachekeeper.core.dead import Letter
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.request import SEEDS_A_MARK
from cachekeeper.store.redis.marks import Marked
from tests.chaos.pipeline.kills import Kill
from tests.chaos.pipeline.sent import Sent

#: AOF everysec promises what was accepted longer ago than this when the server died.
PROMISED_S: Final = {"everysec": 1.0, "always": 0.0}
#: Of those that don't wait for a batch, recovery is seen undisturbed.
AT_ONCE: Final = ("immediate", "lazy")

Marks = dict[str, dict[tuple[str, ...], Counter[int]]]


@dataclass(slots=True)
class Verdict:
    """Requests by their ids, where anything is wrong; and how long it took after a kill."""

    requests: int = 0
    excused: int = 0  # accepted just before the server died
    done: int = 0
    merged: int = 0
    dead: int = 0  # failed, with a letter that says why
    lost: list[str] = field(default_factory=list)  # not ended
    unmarked: list[str] = field(default_factory=list)  # done, they say
    silent: list[str] = field(default_factory=list)  # failed without a letter
    twice: list[str] = field(default_factory=list)  # marked twice in one incarnation
    late: list[str] = field(default_factory=list)  # longer than the deadline after the last kill
    again: int = 0  # marks repeated in a new incarnation, which may have lost the first
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    longest_s: float = 0.0

    @property
    def wrong(self) -> dict[str, list[str]]:
        """What must be empty."""
        kinds = ("lost", "unmarked", "silent", "twice", "late")
        return {kind: found for kind in kinds if (found := getattr(self, kind))}


def promised(sent: Sent, kills: Iterable[Kill], aof: str) -> bool:
    """Whether no crash of the server came so soon after it was accepted that it may be lost.

    One that was sent while the server was away was accepted by the one that came back.
    """
    slack = PROMISED_S[aof]
    crashes = (kill for kill in kills if kill.is_crash)
    return not any(sent.asked < kill.over and kill.at < sent.accepted + slack for kill in crashes)


def judge(
    sent: Iterable[Sent],
    receipts: Mapping[str, Receipt],
    log: Sequence[Marked],
    letters: Iterable[Letter],
    kills: Sequence[Kill],
    *,
    aof: str,
    deadline_s: float,
) -> Verdict:
    """Look at each request once, whatever number of times it was sent."""
    verdict, parts = Verdict(), marks_by_request(log)
    buried = {str(letter.arguments.get("id")) for letter in letters}
    asked: dict[str, list[Sent]] = defaultdict(list)
    for one in sent:
        asked[one.id].append(one)
    verdict.requests = len(asked)
    for times in asked.values():
        request = min(times, key=lambda one: one.accepted)
        receipt = receipts.get(request.id)
        if receipt is None or not receipt.ended:
            if any(promised(one, kills, aof) for one in times):
                verdict.lost.append(request.id)
            else:
                verdict.excused += 1
            continue
        if receipt.status is Status.FAILED:
            if request.id in buried:
                verdict.dead += 1
            else:
                verdict.silent.append(request.id)
            continue
        verdict.done += 1
        verdict.merged += bool(receipt.merged_into)
        _marked(verdict, request, receipt, parts)
        _timed(verdict, request, receipt, kills, deadline_s)
    for of_request in parts.values():
        counts = list(of_request.values())
        verdict.again += sum(len(incarnations) - 1 for incarnations in counts)
    verdict.twice = [
        request
        for request, of_request in parts.items()
        if any(times > 1 for found in of_request.values() for times in found.values())
    ]
    return verdict


def marks_by_request(log: Sequence[Marked]) -> Marks:
    """By request and part of it: how often it was marked in which incarnation.

    Within an incarnation each mark has the epoch after the one before; a new one leaves one out.
    """
    found: dict[str, dict[tuple[str, ...], Counter[int]]] = defaultdict(
        lambda: defaultdict(Counter)
    )
    incarnation, before = 0, 0
    for line in log:
        incarnation += line.epoch != before + 1
        before = line.epoch
        found[line.request][line.sources][incarnation] += 1
    return found


def _marked(
    verdict: Verdict,
    request: Sent,
    receipt: Receipt,
    parts: Mapping[str, Mapping[tuple[str, ...], object]],
) -> None:
    stands_for = receipt.merged_into or request.id
    expected = 1 if receipt.merged_into else -(-request.seeds // SEEDS_A_MARK)
    before = receipt.marked and receipt.marked < receipt.submitted
    if len(parts.get(stands_for, ())) < expected or before:
        verdict.unmarked.append(request.id)


def _timed(
    verdict: Verdict, request: Sent, receipt: Receipt, kills: Sequence[Kill], deadline_s: float
) -> None:
    verdict.longest_s = max(verdict.longest_s, receipt.finished - request.asked)
    hit = [kill for kill in kills if request.accepted < kill.at < receipt.finished]
    if hit and receipt.finished - hit[-1].over > deadline_s:
        verdict.late.append(request.id)
    if hit and request.strategy in AT_ONCE:
        for kill in hit:
            verdict.recovery_s[kill.what].append(receipt.finished - kill.over)
