"""How the origin is followed, in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from cachekeeper.cli.told import ago, one_line
from cachekeeper.core.ports.changes import Pass, Watching


def origin_lines(watched: Sequence[Watching], swept: Pass) -> Iterator[str]:
    """The watchers and the sweep; nothing where there is neither."""
    if not watched and not swept.started:
        return
    for each in watched:
        yield from _watched_lines(each)
    if not watched:
        yield "  origin: nobody watches it"
    yield from swept_lines(swept)


def _watched_lines(each: Watching) -> Iterator[str]:
    yield f"  origin: {one_line(each.state, 400)} (since {ago(each.since)}, {each.by})"
    told = f"{each.told:,} changes in {each.requests:,} requests"
    yield f"    told  {told}"
    if each.held:
        yield f"    HELD  {each.held:,} changes can't be submitted: {one_line(each.error, 400)}"
    if each.lost:
        yield f"    LOST  {each.lost:,} changes found no room: left to the sweep"


def swept_lines(swept: Pass) -> Iterator[str]:
    """How far the sweep is, or how it ended, in words."""
    if swept.phase:
        yield f"  sweep: {swept.phase} since {ago(swept.started)}: {swept.folders:,} folders so far"
    elif not swept.finished:
        yield "  sweep: none has ended yet"
    else:
        found = f"{swept.changed:,} changed, {swept.new:,} new, {swept.gone:,} gone"
        yield f"  sweep: ended {ago(swept.finished)} ago, of {swept.files:,} files {found}"
    if swept.error:
        yield f"    FAILED  {one_line(swept.error, 400)}"
    if swept.unavailable:
        yield f"    SKIPPED {swept.unavailable:,} folders that could not be listed"
    if swept.held:
        yield (
            f"    HELD BACK  {swept.held:,} files are not listed any more, too many to be believed "
            "at once: if they are gone, `cachekeeper reconcile --accept-gone`"
        )


def plain(swept: Pass) -> dict[str, object]:
    """The same for programs."""
    told = dataclasses.asdict(swept) | {"files": swept.files}
    del told["figures"]
    return told
