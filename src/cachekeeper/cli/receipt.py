"""A receipt as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator

from cachekeeper.cli.told import one_line, when
from cachekeeper.core.receipt import Receipt, Status

TEXT = 4000  # characters of one line


def receipt_lines(receipt: Receipt) -> Iterator[str]:
    """What became of a request."""
    yield f"{receipt.status}   {receipt.strategy}, {receipt.consistency}, epoch {receipt.epoch}"
    yield f"  request       {receipt.id}"
    if receipt.status is Status.PENDING:
        yield "  it waits for its batch; the old value may be served until then"
        return
    if receipt.error:
        yield f"  error         {one_line(receipt.error, TEXT)}"
    yield f"  affected      {receipt.affected_count}: {' -> '.join(receipt.affected)}"
    removed = ", ".join(f"{tier} {n}" for tier, n in receipt.batch_removed.items())
    together = f", for {receipt.batch} requests together" if removed and receipt.batch > 1 else ""
    yield f"  removed       {removed or 'nothing yet: lazily, when read or swept'}{together}"
    asked = len(receipt.nodes_asked)
    yield f"  nodes         {asked - len(receipt.nodes_fenced)} of {asked} acknowledged"
    if receipt.nodes_fenced:
        yield f"  fenced        {', '.join(receipt.nodes_fenced)}"
    yield f"  verified      {', '.join(receipt.verified)}"
    for limit in receipt.limits:
        yield f"  limit         {limit}"
    took = 1000 * (receipt.finished - receipt.submitted)
    yield f"  took          {took:.0f} ms, in worker process {receipt.worker_pid}"


def record_lines(receipt: Receipt) -> Iterator[str]:
    """The same as it is told later: with what was asked for, by whom and when."""
    yield from receipt_lines(receipt)
    yield f"  asked for     {one_line(', '.join(receipt.names), TEXT)}"
    yield f"  by            {one_line(receipt.by, TEXT) or 'nobody said who'}"
    yield f"  reason        {one_line(receipt.reason, TEXT) or 'none given'}"
    yield f"  submitted     {when(receipt.submitted)}"
    for name in ("started", "marked", "finished"):
        if at := getattr(receipt, name):
            yield f"  {name:<13} {1000 * (at - receipt.submitted):.0f} ms later"
    if receipt.merged_into:
        yield f"  merged into   {receipt.merged_into}, which waited for the same"
