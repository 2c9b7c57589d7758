"""The table of what runs where, for people."""

from __future__ import annotations

from collections.abc import Sequence

from kombu.utils.url import maybe_sanitize_url

from cachekeeper.local.state import Running, State


def render(running: Running, state: State) -> str:
    """What runs where, in one tidy table; passwords in URLs are hidden."""
    rows = [("NAME", "PID", "ADDRESS", "WHAT")]
    for row in running.services:
        what = row.what + (f" ({_times(row.restarts)})" if row.restarts else "")
        rows.append((row.name, str(row.pid or "-"), row.address or "-", what))
    places = [
        ("broker", maybe_sanitize_url(running.broker_url)),
        ("cache", maybe_sanitize_url(running.cache_url)),
        ("Flower", running.flower_url or "not ready yet"),
        ("logs", str(state.logs)),
    ]
    lines = [*_aligned(rows), "", *_aligned(places)]
    return "\n".join(f"  {line}" if line else "" for line in lines)


def _times(restarts: int) -> str:
    return "restarted once" if restarts == 1 else f"restarted {restarts} times"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
