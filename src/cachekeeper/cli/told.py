"""How commands say times, and show texts that anybody may have written."""

from __future__ import annotations

import re
import time

import click

from cachekeeper.errors import InvalidInput

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """A span of time such as ``90s``, ``15m``, ``2h``, ``1d``: the callback of ``--since``.

    Raises:
        InvalidInput: it is no such text.
    """
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,9})([smhd])", value, re.ASCII)
    if found is None:
        raise InvalidInput("since", value, "a number and s, m, h or d, such as 90s or 2h")
    return float(found[1]) * UNITS[found[2]]


def ago(at: float) -> str:
    """How long ago something was, in the largest unit of which there are two."""
    return span(max(0.0, time.time() - at))


def span(length_s: float) -> str:
    """So many seconds, in the largest unit of which there are two."""
    unit = max((u for u in UNITS if length_s >= 2 * UNITS[u]), key=UNITS.__getitem__, default="s")
    return f"{length_s / UNITS[unit]:.0f}{unit}"


def when(at: float) -> str:
    """A time, and how long ago it was."""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(at))} UTC, {ago(at)} ago"


def one_line(text: str, length: int) -> str:
    """One line that a terminal can be shown, of a length at most."""
    line = "".join(c if c.isprintable() else " " for c in text[: 2 * length])
    return line if len(line) <= length else f"{line[: length - 1]}…"
